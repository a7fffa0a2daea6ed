"""The data of the figures that show progress: learning curves, and the trials of the search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sweep.numbers import number
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.learning import TRAIN_LOSS
from sweep.report.figures.explorer import LOG_RANGE, explorer
from sweep.report.names import metric_of

__all__ = [
    "Axis",
    "Panel",
    "Parallel",
    "Points",
    "learning_panels",
    "parallel_axes",
    "search_panels",
]

_LOG_RANGE = 3
_N_LINES = 200  # of parallel coordinates; more cannot be told apart


@dataclass(frozen=True)
class Points:
    """Points of a panel.

    Attributes:
        x: Epochs, or numbers of trials.
        y: Values.
        names: What each point is called; empty if that is no matter.
    """

    x: list[float]
    y: list[float]
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Panel:
    """A metric over epochs or trials.

    Attributes:
        title: The metric.
        unit: Its unit.
        lines: By what they are called.
    """

    title: str
    unit: str
    lines: dict[str, Points]

    @property
    def is_log(self) -> bool:
        """Whether its values span so much that a logarithmic axis shows them better."""
        values = [value for points in self.lines.values() for value in points.y]
        return min(values) > 0 and max(values) > _LOG_RANGE * min(values)


@dataclass(frozen=True)
class Axis:
    """An axis of parallel coordinates.

    Attributes:
        title: What stands on it.
        values: A number for each line; the logarithm on a logarithmic axis.
        texts: What each of them is.
        ticks: Values of its marks and what stands there.
    """

    title: str
    values: list[float]
    texts: list[str]
    ticks: list[tuple[float, str]]

    def position(self, value: float) -> float:
        """Where a value lies, from 0 at the lower end to 1."""
        marks = [*self.values, *(tick for tick, _ in self.ticks)]
        low, high = min(marks), max(marks)
        return (value - low) / (high - low) if high > low else 0.5

    def height(self, row: int) -> float:
        """Where a line crosses it."""
        return self.position(self.values[row])


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates.

    Attributes:
        axes: The axes.
        names: What the lines are called, the best first.
    """

    axes: list[Axis]
    names: list[str]


def learning_panels(c: Comparison) -> list[Panel]:
    """Loss on the training set, score and errors on the validation set, by epoch.

    Nothing is drawn of trials of a single epoch.
    """
    panels = []
    for key, rows in c.learning.groupby("metric", sort=False):
        lines = {
            str(role): Points(
                [float(x) for x in of_role["epoch"]], [float(y) for y in of_role["value"]]
            )
            for role, of_role in rows.groupby("role", sort=False)
            if len(of_role) > 1
        }
        if lines:
            title = "training loss, own weights" if key == TRAIN_LOSS else (
                f"{metric_of(str(key)).title}, validation"
            )  # fmt: skip
            panels.append(Panel(title, str(rows["unit"].iloc[0]), lines))
    return panels


def search_panels(c: Comparison) -> list[Panel]:
    """What the search minimises, by number of the trial.

    Lines: ``ranked``, ``not ranked`` and ``best so far``, of the ranked trials up to each. Of
    several objectives each has a panel of its own.
    """
    if not c.source.is_study:
        return []
    keys = ("score",) if c.front is None else c.front.minimize
    panels = []
    for key in keys:
        column = f"valid.{key}"
        if column not in c.trials:
            continue
        table = c.trials[c.trials["state"] == "COMPLETE"].dropna(subset=[column])
        table = table.sort_values("number")
        ranked = table[table["rank"].notna()]
        if len(ranked) < 2:
            continue
        lines = {
            "not ranked": _points(c, table[table["rank"].isna()], column),
            "ranked": _points(c, ranked, column),
            "best so far": Points(
                [float(n) for n in ranked["number"]], [float(v) for v in ranked[column].cummin()]
            ),
        }
        metric = metric_of(key, c.source.study)
        shown = {name: points for name, points in lines.items() if points.x}
        panels.append(Panel(f"{metric.title}, validation", metric.unit, shown))
    return panels


def _points(c: Comparison, rows: pd.DataFrame, column: str) -> Points:
    names = [c.source.sentence_name(c.trial_of[str(label)]) for label in rows.index]
    return Points([float(n) for n in rows["number"]], [float(v) for v in rows[column]], names)


def parallel_axes(c: Comparison) -> Parallel | None:
    """The searched values and the validation errors of the best ranked trials, one axis each.

    Returns:
        None with fewer than two trials or searched values.
    """
    free = explorer(c)
    if free is None or len(c.parameters) < 2:
        return None
    columns = [column for name, column in free["columns"].items()
               if name.startswith(("param.", "valid."))]  # fmt: skip
    kept = [
        i
        for i, is_ranked in enumerate(free["ranked"])
        if is_ranked and all(column["values"][i] is not None for column in columns)
    ][:_N_LINES]
    if len(kept) < 2:
        return None
    axes = [_axis(column, [column["values"][i] for i in kept]) for column in columns]
    return Parallel(axes, [free["names"][i] for i in kept])


def _axis(column: Mapping[str, Any], values: Sequence[Any]) -> Axis:
    title = str(column["title"])
    if column["category"]:
        texts = sorted({str(value) for value in values})
        positions = [float(texts.index(str(value))) for value in values]
        return Axis(title, positions, [str(v) for v in values],
                    [(float(i), text) for i, text in enumerate(texts)])  # fmt: skip
    numbers = [float(value) for value in values]
    texts = [number(value) for value in numbers]
    low, high = min(numbers), max(numbers)
    if low > 0 and high > LOG_RANGE * low:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        ticks = [(float(power), f"{10.0**power:g}") for power in powers]
        return Axis(title, [math.log10(value) for value in numbers], texts, ticks)
    marks = [low + (high - low) * i / 4 for i in range(5)] if high > low else [low]
    return Axis(title, numbers, texts, [(mark, number(mark)) for mark in marks])
