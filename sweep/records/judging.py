"""A study judged anew: the same trainings by other metrics or limits, with nothing trained for it.

Every trial keeps the epoch that its own objective took it from, since that is where it was measured
on the test set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweep.errors import InputError, unknown
from sweep.quantities import QUANTITIES, exponents_of, quantity
from sweep.records.objective import Objective
from sweep.records.state import State
from sweep.records.trial import Trial

if TYPE_CHECKING:
    from sweep.records.study import Study

__all__ = ["Judgement", "by_objective", "judged", "score_of"]

_SPLITS = ("valid", "test")
_TINY = 2.0**-126  # the smallest normal number in single precision


@dataclass(frozen=True)
class Judgement:
    """What trials are judged by instead of their own objective.

    Attributes:
        metrics: The quantities of the score and their exponents; None: those of the study.
        limits: Quantity -> largest validation error, as a multiple of the default's; None: those
            of the study.
        scales: What errors are divided by where a trial does not tell its data's spread.
    """

    metrics: Mapping[str, float] | None = None
    limits: Mapping[str, float] | None = None
    scales: Mapping[str, float] | None = None

    def objective(self, own: Objective | None) -> Objective:
        """The objective instead of a trial's or study's own."""
        found = own or Objective(metrics=())
        if self.metrics is not None:  # of a score: the study's own objectives do not count then
            found = found.scored_by(self.metrics)
        return found if self.limits is None else replace(found, constraints=dict(self.limits))

    def apply(self, trial: Trial) -> Trial:
        """The trial as it would have been recorded; one that lacks a metric is none to choose."""
        objective = self.objective(trial.objective)
        if self.metrics is None:
            return replace(trial, objective=objective)
        return _rescored(trial, objective, self.scales or {})


def by_objective(trial: Trial, objective: Objective) -> Trial:
    """A trial as this objective would have recorded it, at the epoch that its own took it from.

    A complete trial whose score cannot be told from its records is none to choose: its state is
    STOPPED, and its reason says what is missing.
    """
    own = trial.objective
    if own is None or own == objective:
        return trial
    if own.powers == objective.powers and own.statistic == objective.statistic:
        return replace(trial, objective=objective)
    return _rescored(trial, objective, {})


def score_of(
    errors: Mapping[str, float], scales: Mapping[str, float], powers: Mapping[str, float]
) -> float | None:
    """Geometric mean of error over scale; None if one of them is not known.

    Args:
        errors: Quantity -> error.
        scales: Quantity -> what its error is divided by, in the same unit.
        powers: Quantity -> exponent in the mean.
    """
    if not powers or any(name not in errors or name not in scales for name in powers):
        return None
    # An error of exactly zero would make every other quantity irrelevant.
    logs = [
        power * math.log(max(errors[name] / scales[name], _TINY)) for name, power in powers.items()
    ]
    return math.exp(sum(logs) / sum(powers.values()))


def _rescored(trial: Trial, objective: Objective, scales: Mapping[str, float]) -> Trial:
    seen = replace(trial, objective=objective)  # its errors are those of the new statistic
    scales = {**scales, **trial.scales}
    scores = {split: score_of(seen.errors(split), scales, objective.powers) for split in _SPLITS}
    results = {
        split: {**values, "score": scores.get(split)} for split, values in trial.results.items()
    }
    found = replace(seen, results=results, score=scores["valid"], is_judged_anew=True)
    if not trial.is_complete or found.score is not None:
        return found
    errors = seen.errors("valid")
    missing = [name for name in objective.metrics if name not in errors]
    what, names = ("validation error", missing) if missing else (
        "spread of the data", [name for name in objective.metrics if name not in scales]
    )  # fmt: skip
    why = f"has no {what} of {', '.join(quantity(n).title for n in names)}"
    return replace(found, state=State.STOPPED, reason=why)


def judged(
    study: Study,
    metrics: Sequence[str] | Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Study:
    """A study's trials judged by other metrics or limits.

    Args:
        study: The study.
        metrics: Quantities whose geometric mean is the score, or quantity -> exponent in it; None:
            as the study was searched.
        limits: Quantity -> largest validation error allowed, as a multiple of the default's; None:
            as the study was searched.

    Raises:
        InputError: if a quantity is unknown or was measured in no complete trial, or an exponent
            is not above 0 and finite.
    """
    powers = None
    if metrics is not None:
        given = metrics if isinstance(metrics, Mapping) else list(dict.fromkeys(metrics))
        powers = exponents_of(given, where="--metrics")
    measured = {name for trial in study.complete for name in trial.errors("valid")}
    for option, names in (("--metrics", powers or ()), ("--limit", limits or {})):
        for name in names:
            if name not in QUANTITIES and name not in measured:
                raise InputError(unknown("quantity", name, measured or QUANTITIES, where=option))
            if name not in measured:
                valid = ", ".join(sorted(measured)) or "none"
                raise InputError(f"{option}: '{name}' was not measured; measured: {valid}")
    if powers is not None and not powers:
        raise InputError("--metrics: names no quantity")
    # Without the spread of the data the default's errors do: they only scale the score.
    reference = study.default or next(iter(study.complete), None)
    judgement = Judgement(
        powers,
        limits,
        None if reference is None else {k: v for k, v in reference.errors().items() if v > 0},
    )
    record = study.record
    if record is not None:
        record = replace(record, objective=judgement.objective(record.objective))
    return replace(
        study, all=tuple(judgement.apply(t) for t in study.all), record=record, judgement=judgement
    )
