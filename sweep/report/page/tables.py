"""The page's tables: cells with a text to read and a value to sort by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sweep.numbers import change, count, number, percent
from sweep.records import Trial
from sweep.report.comparison.by_type import errors_by_type
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.measures import Measure, all_roles, seeds_of
from sweep.report.comparison.studies import all_trials, differences, standings
from sweep.report.comparison.trial_table import metric_keys, trained_with
from sweep.report.names import SPLITS, metric_of

__all__ = [
    "Cell",
    "Column",
    "PageTable",
    "answer_table",
    "balance_table",
    "difference_table",
    "error_table",
    "study_table",
    "type_table",
]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What is read.
        value: What the column is sorted by; empty: last in any order.
        note: Smaller text behind, such as a change.
        tone: ``good``, ``bad`` or empty.
        title: Text that appears on hovering.
    """

    text: str
    value: str = ""
    note: str = ""
    tone: str = ""
    title: str = ""


@dataclass(frozen=True)
class Column:
    """One column; numbers stand right, and are sorted as numbers."""

    title: str
    unit: str = ""
    is_number: bool = True
    title_text: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        caption: What it shows.
        columns: Its columns.
        rows: Its rows.
        row_classes: Class of each row: the state of a trial, and ``best`` and the like.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    row_classes: Sequence[str] = field(default_factory=list)


_NOT_SEARCHED = "lies outside the search space"
_MAX_TONE = 0.005  # a change below half a percent is neither good nor bad


def answer_table(c: Comparison) -> PageTable | None:
    """Errors of the baseline, the balanced and the best weights, each metric and split a row."""
    if not c.answer:
        return None
    columns = [Column("", is_number=False), Column("data", is_number=False)]
    roles = all_roles(c.shown)
    for role, name in roles.items():
        trial = c.shown[role]
        n_seeds = seeds_of(trial, c.confirmation)
        seeds = f", {count(n_seeds, 'seed')}" if n_seeds else ""
        columns.append(Column(name, f"{c.source.sentence_name(trial)}{seeds}"))
    rows = []
    for row in c.answer:
        cells = [_measured(row.measures[role]) for role in roles]
        title = SPLITS[row.split]
        rows.append([Cell(row.metric.with_unit, row.metric.title), Cell(title, title), *cells])
    return PageTable("Errors of the weights that matter", columns, rows)


def type_table(c: Comparison, kind: str = "config_type") -> PageTable | None:
    """Errors of the best weights for each ``config_type``, element or size of systems."""
    found = None if c.best is None else errors_by_type(c.best, c.source.baseline, kind)
    if found is None or c.best is None:
        return None
    columns = [Column("size (atoms)" if kind == "size" else kind, is_number=False)]
    columns.append(Column("atoms" if kind == "element" else "configurations"))
    columns += [Column(metric.title, metric.unit) for metric in found.metrics]
    rows = [
        [
            Cell(row.name, row.name),
            Cell("") if row.n is None else Cell(str(row.n), str(row.n)),
            *map(_measured, row.measures),
        ]
        for row in found.rows
    ]
    name = c.source.sentence_name(c.best)
    caption = f"{c.best.statistic.upper()} of {name} by {kind}, {SPLITS[found.split]} set"
    return PageTable(caption, columns, rows)


def _measured(measure: Measure | None) -> Cell:
    if measure is None:
        return Cell("")
    return _with_change(measure.number, measure.value, measure.change)


def error_table(c: Comparison) -> PageTable:
    """All trials with their errors."""
    keys = [
        (split, key)
        for key in metric_keys(c.trials)
        for split in SPLITS
        if f"{split}.{key}" in c.trials
    ]
    columns = [Column("trial", is_number=c.source.is_study), Column("rank"),
               Column("state", is_number=False)]  # fmt: skip
    for split, key in keys:
        metric = metric_of(key, c.source.study)
        columns.append(Column(f"{metric.title}, {SPLITS[split]}", metric.unit))
    columns += [Column("time", "s")]
    columns += [Column(name, is_number=False) for name in ("reason", "tags", "note")]
    rows = []
    for label, row in c.rows.items():
        cells = [*_head(c, label), _state(row)]
        cells += [_measure(c, label, f"{split}.{key}") for split, key in keys]
        seconds = row.get("seconds", math.nan)
        cells.append(_number(seconds, digits=3))
        for name in ("reason", "tags", "note"):
            found = row.get(name)
            text = found if isinstance(found, str) else ""
            cells.append(Cell(_shortened(text), text, title=text))
        rows.append(cells)
    return _without_empty(PageTable("Errors of all trials", columns, rows, _row_classes(c)))


def balance_table(c: Comparison) -> PageTable:
    """All trials with their weights and the balance in the last epoch."""
    columns = [Column("trial", is_number=c.source.is_study), Column("rank"), Column("score")]
    columns += [Column(name) for name in c.parameters.values()]
    columns += [
        Column("effective terms", title_text="exponential of the entropy of the shares"),
        Column("largest term", is_number=False),
        Column("starved", is_number=False, title_text="below 1 % of the loss"),
    ]
    rows = []
    for label, row in c.rows.items():
        cells = [*_head(c, label), _number(c.value(label, "valid.score"))]
        for key in c.parameters:
            cells.append(_parameter(c.trial_of[label], key, row[f"param.{key}"]))
        balance = c.balance(label)
        if balance is None:
            cells += [Cell(""), Cell(""), Cell("")]
        else:
            share = balance.shares[balance.dominant]
            words = f"{balance.dominant}, {percent(share)}"
            cells += [
                Cell(f"{balance.effective_terms:.1f} of {len(balance.active)}",
                     repr(balance.effective_terms)),
                Cell(f"{words}: dominates" if balance.dominating else words, words,
                     tone="bad" if balance.dominating else ""),
                Cell(", ".join(balance.starved) or "none", ", ".join(balance.starved)),
            ]  # fmt: skip
        rows.append(cells)
    caption = "Searched values, and the balance in the last epoch" if c.parameters else (
        "Balance in the last epoch"
    )  # fmt: skip
    return _without_empty(PageTable(caption, columns, rows, _row_classes(c)))


def _parameter(trial: Trial, key: str, value: Any) -> Cell:
    """A searched value; of a trial outside the search space what it was trained with instead."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        value = trained_with(trial, key)
        if value is None:
            return Cell("-", title=_NOT_SEARCHED)
    as_number = pd.to_numeric(value, errors="coerce")
    text = str(value)
    return _number(float(as_number)) if pd.notna(as_number) else Cell(text, text)


def study_table(comparisons: Sequence[Comparison]) -> PageTable:
    """The default and the answer of every study, on validation and test data."""
    keys = list(dict.fromkeys(k for c in comparisons for k in metric_keys(c.trials)))
    columns = [Column(title, is_number=False) for title in ("study", "weights", "data")]
    metrics = [metric_of(key, all_trials(comparisons)) for key in keys]
    columns += [Column(metric.title, metric.unit) for metric in metrics]
    rows = []
    for one in standings(comparisons):
        c, split = one.comparison, SPLITS[one.split]
        trials = f"{len(c.complete)} of {len(c.trials)} complete"
        cells = [Cell(c.source.name, c.source.name, trials), Cell(one.role, one.role, one.trial),
                 Cell(split, split)]  # fmt: skip
        rows.append(cells + [_measured(one.measures.get(key)) for key in keys])
    return PageTable("Default and answer of every study; changes against its own default", columns,
                     rows)  # fmt: skip


def difference_table(comparisons: Sequence[Comparison]) -> PageTable | None:
    """What differs between the studies; None if nothing does, or nothing is known."""
    found = differences(comparisons)
    if not found:
        return None
    names = [c.source.name for c in comparisons]
    columns = [Column("key", is_number=False), *(Column(name, is_number=False) for name in names)]
    rows = [[Cell(key, key), *(Cell(v, v) for v in values)] for key, values in found.items()]
    return PageTable("What differs between them", columns, rows)


def _head(c: Comparison, label: str) -> list[Cell]:
    row = c.rows[label]
    rank = row["rank"]
    value = str(row["number"]) if c.source.is_study else label
    return [
        Cell(label, value, note=str(row["role"])),
        Cell("" if pd.isna(rank) else f"{rank:.0f}", "" if pd.isna(rank) else f"{rank:.0f}"),
    ]


def _state(row: dict[str, Any]) -> Cell:
    state = str(row["state"]).lower()
    epochs, planned = row.get("epochs"), row.get("planned_epochs")
    if epochs is None or pd.isna(epochs):
        return Cell(state, state)
    if state == "complete" and (planned is None or pd.isna(planned) or epochs >= planned):
        return Cell(state, state)
    of = "" if planned is None or pd.isna(planned) else f" of {planned:.0f}"
    return Cell(state, state, note=f"epoch {epochs:.0f}{of}")


def _measure(c: Comparison, label: str, name: str) -> Cell:
    """An error with its change against the baseline."""
    value, ratio = c.value(label, name), c.value(label, f"{name}.change")
    if math.isnan(value):
        return Cell("")
    is_baseline = c.source.baseline is not None and c.source.label(c.source.baseline) == label
    return _with_change(number(value), value, None if is_baseline else ratio)


def _with_change(text: str, value: float, ratio: float | None) -> Cell:
    if ratio is None or math.isnan(ratio):
        return Cell(text, repr(value))
    tone = "" if abs(ratio) < _MAX_TONE else "good" if ratio < 0 else "bad"
    return Cell(text, repr(value), change(ratio), tone)


def _number(value: float | None, *, digits: int = 3) -> Cell:
    if value is None or pd.isna(value):
        return Cell("")
    return Cell(number(float(value), digits), repr(float(value)))


def _shortened(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:87]}..."


def _row_classes(c: Comparison) -> list[str]:
    return [
        " ".join(
            [
                "ranked" * pd.notna(row["rank"]),
                str(row["state"]).lower(),
                *str(row["role"]).replace(",", " ").split(),
            ]
        )
        for row in c.rows.values()
    ]


def _without_empty(table: PageTable) -> PageTable:
    """The table without columns that no row fills."""
    keep = [i for i in range(len(table.columns))
            if not table.rows or any(row[i].text for row in table.rows)]  # fmt: skip
    return PageTable(
        table.caption,
        [table.columns[i] for i in keep],
        [[row[i] for i in keep] for row in table.rows],
        table.row_classes,
    )
