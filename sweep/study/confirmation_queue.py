"""Which trainings confirm the winner of a search. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import DamagedRecordError
from sweep.locks import locked
from sweep.records.feasibility import feasible
from sweep.records.trial_json import read_trial_json
from sweep.study.queue import TrialQueue
from sweep.study.spec import Plan

__all__ = ["describe_training", "open_confirmation", "training_folder"]


def open_confirmation(plan: Plan, search: TrialQueue) -> TrialQueue:
    """The queue of the trainings that confirm a finished search, in the study's own storage.

    The best ``search.confirm.top`` trials and the default are trained with ``search.confirm.seeds``
    seeds each, none of which the search used: whatever it picked for its luck loses that here.
    """
    assert plan.confirm is not None
    queue = plan.open_confirmation()
    numbers = [0, *_best(plan.folder, plan.confirm.top)]
    trials = {trial.number: trial for trial in search.trials()}
    with locked(queue.lock_path):
        there = {(trial.user_attrs["of"], trial.user_attrs["seed"]) for trial in queue.trials()}
        # All trainings of one seed together: a worker builds the model anew for another seed.
        for seed in range(plan.base.seed + 1, plan.base.seed + 1 + plan.confirm.seeds):
            for number in numbers:
                if (number, seed) not in there:
                    attrs = {"of": number, "seed": seed, "params": trials[number].params}
                    queue.study.enqueue_trial({}, user_attrs=attrs)
    return queue


def describe_training(of: int, seed: int) -> str:
    """A training in words."""
    return f"trial {of} again with seed {seed}"


def training_folder(of: int, seed: int) -> str:
    """Name of its folder."""
    return f"{of:04d}-seed{seed}"


def _best(folder: Path, top: int) -> list[int]:
    """The best complete and feasible trials but the default, each set of weights once.

    Args:
        folder: Folder of the study; what is recorded there was judged by the final errors of the
            default, which a worker may not have known when it told Optuna of a trial.
        top: How many.
    """
    contents = []
    for path in sorted((folder / "trials").glob("*/trial.json")):
        try:
            contents.append(read_trial_json(path))
        except DamagedRecordError:
            continue
    own = [c for c in feasible(contents) if c["number"] and c.get("same_as") is None]
    own.sort(key=lambda content: (content["score"], content["number"]))
    return [content["number"] for content in own[:top]]
