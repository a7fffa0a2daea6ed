"""Several studies beside each other: what differs between them, and what each of them reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.records import Trial
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.measures import Measure
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.names import SPLITS

__all__ = ["Standing", "all_trials", "common_pair", "differences", "standings"]

_ABSENT = "–"
_LONGEST = 60  # characters of a value


@dataclass(frozen=True)
class Standing:
    """What some weights of a study reached on one data set.

    Attributes:
        comparison: The study.
        role: ``default``, ``best`` or ``knee``; of a study without such a trial ``none``.
        trial: What the trial is called; empty for none.
        split: ``valid`` or ``test``.
        measures: Score and errors by metric; None where one was not measured.
    """

    comparison: Comparison
    role: str
    trial: str
    split: str
    measures: dict[str, Measure | None]


def standings(comparisons: Sequence[Comparison]) -> list[Standing]:
    """The default and the answer of every study, on validation and test data."""
    return [
        standing
        for c in comparisons
        for standing in list(_standings(c)) or [Standing(c, "none", "", "valid", {})]
    ]


def _standings(c: Comparison) -> Iterator[Standing]:
    roles = {c.shown[role].folder: role for role in (c.best_role, c.baseline_role)
             if role in c.shown}  # fmt: skip
    for role in reversed(roles.values()):
        for split in SPLITS:
            measures = {r.metric.key: r.measures[role] for r in c.answer if r.split == split}
            if any(measure is not None for measure in measures.values()):
                yield Standing(c, role, c.source.sentence_name(c.shown[role]), split, measures)


def differences(comparisons: Sequence[Comparison]) -> dict[str, list[str]]:
    """What differs between the definitions of studies: key -> its value in each of them.

    Of single trials, and of studies of a version that recorded no definition, nothing is known.
    """
    records = [c.source.study.record for c in comparisons]
    known = [dict(record.definition) for record in records if record is not None]
    found = {}
    for key in dict.fromkeys(key for definition in known for key in definition):
        values = [definition.get(key, _ABSENT) for definition in known]
        if any(value != values[0] for value in values[1:]):
            of_known = iter(values)
            found[key] = ["?" if record is None else _text(next(of_known)) for record in records]
    return found


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def all_trials(comparisons: Sequence[Comparison]) -> list[Trial]:
    """The trials of all studies."""
    return [trial for c in comparisons for trial in c.source.study]


def common_pair(comparisons: Sequence[Comparison]) -> tuple[str, str] | None:
    """Two metrics that all studies measured: the first one's trade-off, if it is among them."""
    measured = [
        {key for key in metric_keys(c.trials) if f"valid.{key}" in c.trials} for c in comparisons
    ]
    common = [key for key in metric_keys(comparisons[0].trials)
              if all(key in one for one in measured)]  # fmt: skip
    pair = comparisons[0].trade_off
    if pair is not None and set(pair) <= set(common):
        return pair
    quantities = [key for key in common if key != "score"]
    return (quantities[0], quantities[1]) if len(quantities) > 1 else None
