"""Which trials keep the constraints of their study.

A constraint is a quantity and the largest error that is allowed on the validation set, as a
multiple of that of the default weights (trial 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweep.records.trial import Trial

__all__ = ["broken", "feasible", "violations"]


def violations(
    errors: Mapping[str, float | None],
    default: Mapping[str, float | None],
    constraints: Mapping[str, float],
) -> dict[str, float]:
    """By how much a trial breaks each constraint; what is 0 or less is kept.

    Args:
        errors: Its validation errors by quantity.
        default: Those of the default weights.
        constraints: The largest error allowed, as a multiple of the default's, by quantity.

    Returns:
        In multiples of the default's error; in the quantity's unit where that is zero. A constraint
        that cannot be checked, because an error was not measured, counts as kept.
    """
    found = {}
    for name, factor in constraints.items():
        error, reference = errors.get(name), default.get(name)
        if error is None or reference is None:
            found[name] = 0.0
        else:
            found[name] = error / reference - factor if reference else error
    return found


def broken(trial: Trial, default: Trial) -> dict[str, float]:
    """The constraints that a trial breaks, and by how much: see :func:`violations`."""
    if trial.objective is None:
        return {}
    found = violations(trial.errors(), default.errors(), trial.objective.constraints)
    return {name: value for name, value in found.items() if value > 0}


def feasible(trials: Sequence[Trial], default: Trial | None) -> list[Trial]:
    """The complete trials that keep all constraints.

    Args:
        trials: The trials of a study.
        default: The complete trial with the default weights; None: nothing can be checked, and all
            complete trials are taken.
    """
    complete = [trial for trial in trials if trial.is_complete]
    if default is None:
        return complete
    return [trial for trial in complete if not broken(trial, default)]
