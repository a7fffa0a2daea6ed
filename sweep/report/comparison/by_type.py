"""Errors for each ``config_type``, element or system size: where are the weights good?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweep.quantities import QUANTITIES
from sweep.records import Trial
from sweep.report.comparison.measures import Measure
from sweep.report.names import SPLITS, Metric, metric_of

__all__ = ["ALL", "ErrorsByType", "TypeRow", "errors_by_type"]

ALL = "all"


@dataclass(frozen=True)
class TypeRow:
    """One ``config_type``, element or range of sizes.

    Attributes:
        name: Its name; :data:`ALL` for the whole set.
        n: Number of its configurations or atoms; None for the whole set, and where it is not known.
        measures: Its error of every metric; None where nothing is labelled.
    """

    name: str
    n: int | None
    measures: Sequence[Measure | None]


@dataclass(frozen=True)
class ErrorsByType:
    """The errors of one trial for each type, and in the last row for all of them.

    Attributes:
        split: ``test``, or ``valid`` without a test set.
        metrics: The columns.
        rows: The types, and all of them together.
        has_changes: Whether there is another trial that they are compared with.
    """

    split: str
    metrics: Sequence[Metric]
    rows: Sequence[TypeRow]
    has_changes: bool


def errors_by_type(
    trial: Trial, default: Trial | None, kind: str = "config_type"
) -> ErrorsByType | None:
    """The errors of a trial; None if its data have one kind only.

    Args:
        trial: The trial.
        default: The default weights, for the changes; None for none.
        kind: ``config_type``, ``element`` or ``size``.
    """
    split = next((split for split in [*SPLITS][::-1] if trial.errors_by(kind, split)), None)
    if split is None:
        return None
    if default is not None and default.folder == trial.folder:
        default = None
    own = trial.errors_by(kind, split)
    base = {} if default is None else default.errors_by(kind, split)
    known = {key for _, errors in own.values() for key in errors}
    keys = [key for key in QUANTITIES if key in known]
    rows = [
        TypeRow(name, n or None, _measures(errors, base.get(name, (0, {}))[1], keys))
        for name, (n, errors) in own.items()
    ]
    whole = {} if default is None else default.errors(split)
    if trial.errors(split):  # a program may tell those of its test sets alone
        rows.append(TypeRow(ALL, None, _measures(trial.errors(split), whole, keys)))
    return ErrorsByType(split, [metric_of(key, [trial]) for key in keys], rows, bool(base))


def _measures(
    errors: Mapping[str, float], default: Mapping[str, float], keys: Sequence[str]
) -> list[Measure | None]:
    found: list[Measure | None] = []
    for key in keys:
        value, reference = errors.get(key), default.get(key)
        change = value / reference - 1 if value is not None and reference else None
        found.append(
            None if value is None else Measure(value * metric_of(key).factor, change=change)
        )
    return found
