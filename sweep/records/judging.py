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
from sweep.quantities import QUANTITIES
from sweep.records.objective import Objective
from sweep.records.state import State
from sweep.records.trial import Trial

if TYPE_CHECKING:
    from sweep.records.study import Study

__all__ = ["Judgement", "judged"]

_SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Judgement:
    """What trials are judged by instead of their own objective.

    Attributes:
        metrics: The quantities of the score; None: those of the study.
        limits: Quantity -> largest validation error, as a multiple of the default's; None: those
            of the study.
        scales: What errors are divided by where a trial does not tell its data's spread.
    """

    metrics: tuple[str, ...] | None = None
    limits: Mapping[str, float] | None = None
    scales: Mapping[str, float] | None = None

    def objective(self, own: Objective | None) -> Objective:
        """The objective instead of a trial's or study's own."""
        found = own or Objective(metrics=())
        if self.metrics is not None:  # of a score: the study's own objectives do not count then
            found = replace(found, metrics=self.metrics, minimize=("score",))
        return found if self.limits is None else replace(found, constraints=dict(self.limits))

    def apply(self, trial: Trial) -> Trial:
        """The trial as it would have been recorded; one that lacks a metric is none to choose."""
        objective = self.objective(trial.objective)
        if self.metrics is None:
            return replace(trial, objective=objective)
        scores = {split: self._score(trial, split) for split in _SPLITS}
        results = {
            split: {**values, "score": scores.get(split)} for split, values in trial.results.items()
        }
        found = replace(
            trial, objective=objective, results=results, score=scores["valid"], is_judged_anew=True
        )
        if not trial.is_complete or found.score is not None:
            return found
        missing = [name for name in self.metrics if name not in trial.errors("valid")]
        why = f"has no validation error of {', '.join(QUANTITIES[n].title for n in missing)}"
        return replace(found, state=State.STOPPED, reason=why)

    def _score(self, trial: Trial, split: str) -> float | None:
        """Geometric mean of error over scale; None if an error is not known."""
        errors = trial.errors(split)
        scales = {**(self.scales or {}), **trial.scales}
        logs = []
        for name in self.metrics or ():
            if name not in errors or name not in scales:
                return None
            logs.append(math.log(max(errors[name] / scales[name], 1e-38)))
        return math.exp(math.fsum(logs) / len(logs))


def judged(
    study: Study,
    metrics: Sequence[str] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Study:
    """A study's trials judged by other metrics or limits.

    Args:
        study: The study.
        metrics: Quantities whose geometric mean is the score; None: as the study was searched.
        limits: Quantity -> largest validation error allowed, as a multiple of the default's; None:
            as the study was searched.

    Raises:
        InputError: if a quantity is unknown or was measured in no complete trial.
    """
    measured = {name for trial in study.complete for name in trial.errors("valid")}
    for option, names in (("--metrics", metrics or ()), ("--limit", limits or {})):
        for name in names:
            if name not in QUANTITIES:
                raise InputError(unknown("quantity", name, measured or QUANTITIES, where=option))
            if name not in measured:
                valid = ", ".join(sorted(measured)) or "none"
                raise InputError(f"{option}: '{name}' was not measured; measured: {valid}")
    if metrics is not None and not metrics:
        raise InputError("--metrics: names no quantity")
    # Without the spread of the data the default's errors do: they only scale the score.
    reference = study.default or next(iter(study.complete), None)
    judgement = Judgement(
        None if metrics is None else tuple(dict.fromkeys(metrics)),
        limits,
        None if reference is None else {k: v for k, v in reference.errors().items() if v > 0},
    )
    record = study.record
    if record is not None:
        record = replace(record, objective=judgement.objective(record.objective))
    return replace(
        study, all=tuple(judgement.apply(t) for t in study.all), record=record, judgement=judgement
    )
