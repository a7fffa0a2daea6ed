"""Training the best trials and the default again with fresh seeds: is the gain beyond the noise?

Imports no torch.
"""

from __future__ import annotations

from pathlib import Path

import optuna

from sweep.locks import locked
from sweep.records import Study
from sweep.search.objectives import SCORE, Objectives
from sweep.study.phase import AnyTrial, Phase, Training
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec
from sweep.study.storage import open_study

__all__ = ["confirmation_phase"]


def confirmation_phase(spec: StudySpec, search: TrialQueue) -> Phase | None:
    """What confirms a finished search, in the study's own storage; None if nothing shall.

    The best ``search.confirm.top`` trials and the default are trained with ``search.confirm.seeds``
    seeds each, none of which the search used: whatever it picked for its luck loses that here.
    """
    if spec.confirm is None:
        return None
    queue = TrialQueue(
        open_study(spec.folder, f"{spec.name}.confirm", storage=spec.storage_url),
        spec.folder / "confirm",
        optuna.samplers.RandomSampler,  # its first argument is the seed; nothing is drawn
        n_trials=None,
        max_failure_rate=1.0,
    )
    numbers = [0, *_best(spec.folder, spec.confirm.top)]
    trials = {trial.number: trial for trial in search.trials()}
    with locked(queue.lock_path):
        there = {(trial.user_attrs["of"], trial.user_attrs["seed"]) for trial in queue.trials()}
        # All trainings of one seed together: a worker builds the model anew for another seed.
        for seed in range(spec.base.seed + 1, spec.base.seed + 1 + spec.confirm.seeds):
            for number in numbers:
                if (number, seed) not in there:
                    attrs = {"of": number, "seed": seed, "params": trials[number].params}
                    queue.study.enqueue_trial({}, user_attrs=attrs)
    objectives = Objectives((SCORE,), {}, spec.objective.statistic)
    return Phase(queue, _training, objectives, searches=False)


def _training(trial: AnyTrial) -> Training:
    of, seed, params = (trial.user_attrs[key] for key in ("of", "seed", "params"))
    subdir = f"confirm/{of:04d}-seed{seed}"
    return Training(of, params, None, subdir, f"trial {of} again with seed {seed}", seed)


def _best(folder: Path, top: int) -> list[int]:
    """The best complete and feasible trials but the default, each set of weights once.

    Args:
        folder: Folder of the study; what is recorded there was judged by the final errors of the
            default, which a worker may not have known when it told Optuna of a trial.
        top: How many.
    """
    own = [trial.number for trial in Study.read(folder).ranked if trial.number]
    return own[:top]
