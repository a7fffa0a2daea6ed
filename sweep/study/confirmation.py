"""Training the best trials and the references again with fresh seeds, and longer if wanted.

Is the gain beyond the noise, and does it hold at the length that counts? Imports no torch.
"""

from __future__ import annotations

from pathlib import Path

import optuna
from omegaconf import DictConfig

from sweep.locks import locked
from sweep.records import Study
from sweep.search.objectives import SCORE, Objectives
from sweep.search.outside import OVERRIDES
from sweep.study.phase import AnyTrial, Phase, Training
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec
from sweep.study.storage import open_study

__all__ = ["confirmation_phase"]


def confirmation_phase(spec: StudySpec, search: TrialQueue) -> Phase | None:
    """What confirms a finished search, in the study's own storage; None if nothing shall.

    The best ``search.confirm.top`` trials and the references are trained with
    ``search.confirm.seeds`` seeds each, none of which the search used: whatever it picked for its
    luck loses that here. ``search.confirm.length`` stretches every stage of the schedule.
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
    trials = {trial.number: trial for trial in search.trials()}
    numbers = _chosen(spec.folder, spec.confirm.top)
    length = spec.confirm.length
    with locked(queue.lock_path):
        there = {_identity(trial) for trial in queue.trials()}
        # All trainings of one seed together: a worker builds the model anew for another seed.
        for seed in range(spec.base.seed + 1, spec.base.seed + 1 + spec.confirm.seeds):
            for number in numbers:
                if (number, seed, length) not in there:
                    attrs = {"of": number, "seed": seed, "params": trials[number].params}
                    attrs["length"] = length
                    attrs[OVERRIDES] = {
                        **trials[number].user_attrs.get(OVERRIDES, {}),
                        **_stretched(spec.base, length),
                    }
                    queue.study.enqueue_trial({}, user_attrs=attrs)
    objectives = Objectives((SCORE,), {}, spec.objective.statistic)
    return Phase(queue, _training, objectives, searches=False)


def _identity(trial: AnyTrial) -> tuple[int, int, int]:
    attrs = trial.user_attrs
    return attrs["of"], attrs["seed"], attrs.get("length", 1)


def _training(trial: AnyTrial) -> Training:
    of, seed, length = _identity(trial)
    longer = "" if length == 1 else f"-x{length}"
    what = f"trial {of} again with seed {seed}" + (f", {length} times as long" if longer else "")
    return Training(
        of,
        trial.user_attrs["params"],
        None,
        f"confirm/{of:04d}-seed{seed}{longer}",
        what,
        {**trial.user_attrs.get(OVERRIDES, {}), "seed": seed},
    )


def _stretched(cfg: DictConfig, length: int) -> dict[str, int]:
    """The ends of all stages in a training that is ``length`` times as long."""
    found = {}
    for index, stage in cfg.train_schedule.items() if length > 1 else ():
        found[f"train_schedule.{index}.start"] = stage.start * length
        found[f"train_schedule.{index}.end"] = (stage.end + 1) * length - 1
    return found


def _chosen(folder: Path, top: int) -> list[int]:
    """The complete references and the best complete and feasible trials, each training once.

    Args:
        folder: Folder of the study; what is recorded there was judged by the final errors of the
            default, which a worker may not have known when it told Optuna of a trial.
        top: How many of the best.
    """
    study = Study.read(folder)
    references = (study.default, study.balanced, study.static)
    numbers = [trial.number for trial in references if trial is not None and trial.same_as is None]
    best = [trial.number for trial in study.ranked if trial.role != "default"][:top]
    return list(dict.fromkeys([0, *numbers, *best]))
