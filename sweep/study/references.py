"""The two trials that every study has: the default weights and the balanced ones."""

from __future__ import annotations

from pathlib import Path

from sweep.errors import DamagedRecordError
from sweep.locks import locked
from sweep.records import Trial
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec

__all__ = ["BALANCED", "DEFAULT", "default_errors", "enqueue_references"]

DEFAULT, BALANCED = "default", "balanced"


def enqueue_references(spec: StudySpec, queue: TrialQueue) -> None:
    """See to it that trial 0 is the default and, if weights are searched, trial 1 the balanced.

    What the balanced weights are is measured by the worker that trains them.
    """
    study = queue.study
    with locked(queue.lock_path):
        roles = {trial.user_attrs.get("role") for trial in study.get_trials(deepcopy=False)}
        if DEFAULT not in roles:
            study.enqueue_trial(spec.space.defaults(spec.base), user_attrs={"role": DEFAULT})
            if spec.space.weights:
                study.enqueue_trial({}, user_attrs={"role": BALANCED})


def default_errors(folder: Path) -> dict[str, float] | None:
    """Validation errors of the default weights, so far if trial 0 is still at work.

    Args:
        folder: Folder of the study.
    """
    try:
        trial = Trial.read(folder / "trials" / "0000")
        if trial.is_complete:
            return {
                name: value for name, value in trial.results["valid"].items() if value is not None
            }
        table = trial.metrics()
    except (DamagedRecordError, KeyError):
        return None
    if table.empty or not (table["split"] == "valid").any():
        return None
    best = table[table["split"] == "valid"].sort_values("score").iloc[0]
    return {
        str(name): float(best[name])
        for name in table.columns
        if str(name).startswith(("rmse_", "mae_"))
    }
