"""The answer of a study as numbers: errors of the weights that matter, whatever shows them.

Where trials were trained again with other seeds, it is the mean over those seeds: the one training
that the search picked may have been lucky.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sweep.numbers import number, with_change
from sweep.records import Trial
from sweep.report.confirmation import Confirmation
from sweep.report.names import SPLITS, Metric, metric_of
from sweep.report.spread import Spread

__all__ = ["Measure", "Row", "all_roles", "answer_rows", "seeds_of"]


@dataclass(frozen=True)
class Measure:
    """An error or a score.

    Attributes:
        value: In the unit that is shown; a mean if there are several seeds.
        deviation: Standard deviation over the seeds; None for a single training.
        change: Relative to the baseline; None for the baseline itself, or without one.
    """

    value: float
    deviation: float | None = None
    change: float | None = None

    @property
    def number(self) -> str:
        """``40.0``, or ``40.0 ± 1.2`` over several seeds."""
        if self.deviation is None:
            return number(self.value)
        return f"{number(self.value)} ± {number(self.deviation, 2)}"

    def __str__(self) -> str:
        return with_change(self.number, self.change)


@dataclass(frozen=True)
class Row:
    """A metric on one data set.

    Attributes:
        metric: The metric.
        split: ``valid`` or ``test``.
        measures: By role; None where it was not measured.
    """

    metric: Metric
    split: str
    measures: Mapping[str, Measure | None]

    def change(self, role: str) -> float | None:
        """The change of a role's error, None where it is not known."""
        measure = self.measures.get(role)
        return None if measure is None else measure.change


def answer_rows(
    trials: Mapping[str, Trial], baseline: Trial | None, confirmation: Confirmation | None = None
) -> list[Row]:
    """Score and errors of some trials, validation before test; what none has is left out.

    Args:
        trials: The trials by what they are called, such as ``default`` and ``best``.
        baseline: The trial that changes refer to: means over seeds to its mean, single trainings to
            its training in the search.
        confirmation: The trainings with other seeds.
    """
    rows = []
    for key in dict.fromkeys(("score", *(name for t in trials.values() for name in t.quantities))):
        for split in SPLITS:
            measures = {
                role: _measure(trial, baseline, confirmation, split, key)
                for role, trial in trials.items()
            }
            if any(measure is not None for measure in measures.values()):
                rows.append(Row(metric_of(key, trials.values()), split, measures))
    return rows


def all_roles(trials: Mapping[str, Trial]) -> dict[str, str]:
    """What trials are called by all their roles, so that each stands once.

    Args:
        trials: The trials by role.

    Returns:
        The last role of each, and all of them: ``{"best": "balanced, best"}``.
    """
    roles: dict[Path, list[str]] = {}
    for role, trial in trials.items():
        roles.setdefault(trial.folder, []).append(role)
    return {own[-1]: ", ".join(own) for own in roles.values()}


def seeds_of(trial: Trial, confirmation: Confirmation | None) -> int:
    """Over how many other seeds the numbers of a trial are means; 0: it is the search's own."""
    candidate = None if confirmation is None else confirmation.candidate(trial.number)
    spread = None if candidate is None else candidate.spread("valid", "score")
    return 0 if spread is None else len(spread.values)


def _measure(
    trial: Trial, baseline: Trial | None, confirmation: Confirmation | None, split: str, key: str
) -> Measure | None:
    factor = metric_of(key).factor
    own, base = _repeated(trial, confirmation, split, key), None
    if own is not None:
        base = None if baseline is None else _repeated(baseline, confirmation, split, key)
    elif seeds_of(trial, confirmation):  # not in all trainings: no mean
        return None
    else:
        value = _single(trial, split, key)
        if value is None:
            return None
        own = Spread((value,))
        reference = None if baseline is None else _single(baseline, split, key)
        base = None if reference is None else Spread((reference,))
    deviation = None if own.deviation is None else own.deviation * factor
    is_baseline = baseline is not None and baseline.folder == trial.folder
    change = None if base is None or not base.mean or is_baseline else own.mean / base.mean - 1
    return Measure(own.mean * factor, deviation, change)


def _single(trial: Trial, split: str, key: str) -> float | None:
    return trial.score_on(split) if key == "score" else trial.errors(split).get(key)


def _repeated(
    trial: Trial, confirmation: Confirmation | None, split: str, key: str
) -> Spread | None:
    candidate = None if confirmation is None else confirmation.candidate(trial.number)
    name = key if key == "score" else f"{trial.statistic}_{key}"
    return None if candidate is None else candidate.spread(split, name)
