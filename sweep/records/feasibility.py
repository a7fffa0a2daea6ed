"""Which trials keep the constraints of their study, and which of those is the best.

A constraint is a quantity and the largest error that is allowed on the validation set, as a
multiple of that of the default weights (trial 0). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sweep.quantities import QUANTITIES

__all__ = ["best_of", "constraints_of", "feasible", "validation_errors", "violations"]

Content = Mapping[str, Any]  # of a trial.json


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


def constraints_of(content: Content) -> dict[str, float]:
    """The constraints that a ``trial.json`` names; those of older trials name none."""
    given = content.get("objective", {}).get("constraints")
    if not isinstance(given, Mapping):
        return {}
    return {
        str(name): float(factor)
        for name, factor in given.items()
        if name in QUANTITIES and isinstance(factor, int | float)
    }


def validation_errors(content: Content) -> dict[str, float | None]:
    """Validation error of every measured quantity, by the objective's statistic."""
    statistic = content.get("objective", {}).get("statistic", "rmse")
    metrics = content.get("metrics", {}).get("valid", {})
    return {name: metrics.get(f"{statistic}_{name}") for name in QUANTITIES}


def feasible(contents: Iterable[Content]) -> list[Content]:
    """The complete trials that keep all constraints; all complete ones if trial 0 is not."""
    complete = [content for content in contents if content["state"] == "COMPLETE"]
    default = next((validation_errors(c) for c in complete if c.get("role") == "default"), None)
    if default is None:
        return complete
    return [
        content
        for content in complete
        if all(
            value <= 0
            for value in violations(
                validation_errors(content), default, constraints_of(content)
            ).values()
        )
    ]


def best_of(contents: Sequence[Content]) -> Content | None:
    """The complete trial with the smallest score among those that keep all constraints."""
    return min(feasible(contents), key=lambda c: (c["score"], c["number"]), default=None)
