"""The comparison in the terminal: the trials, the balance, the advice."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sweep.numbers import change, number, percent
from sweep.records.weights_file import loss_block
from sweep.report.advice.errors import gain
from sweep.report.advice.rules import advise
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.comparison.what_if import CAVEAT
from sweep.report.names import metric_of

__all__ = ["show_comparisons", "show_standing"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HEADINGS = {"caution": "before you rely on it", "hint": "what the numbers say"}


def show_comparisons(comparisons: Sequence[Comparison], *, n_rows: int) -> RenderableType:
    """What is printed of some studies.

    Args:
        comparisons: The studies.
        n_rows: Number of trials that a table lists, beside the references.
    """
    return Group(*(_show(c, n_rows) for c in comparisons))


def show_standing(comparisons: Sequence[Comparison], *, n_rows: int) -> RenderableType:
    """The first lines of :func:`show_comparisons`, for a screen that is drawn again and again."""
    parts: list[RenderableType] = []
    for c in comparisons:
        parts += _standing(c, n_rows)
        parts += [_text(advice.text) for advice in gain(c)]
    return Group(*parts)


def _standing(c: Comparison, n_rows: int) -> list[RenderableType]:
    """How many trials there are in which state, what was left out, the best trials."""
    states = c.trials["state"].value_counts()
    counts = ", ".join(f"{n} {str(state).lower()}" for state, n in states.sort_index().items())
    parts: list[RenderableType] = [
        _text(f"\n{'study ' if c.source.is_study else ''}{c.source.name}: {len(c.trials)} trials"
              f"{f' ({counts})' if counts else ''}", style="bold")
    ]  # fmt: skip
    parts += [_text(f"left out: {reason}") for reason in c.source.study.unreadable.values()]
    if len(c.trials):
        parts.append(_trials(c, _listed(c, n_rows)))
    return parts


def _show(c: Comparison, n_rows: int) -> RenderableType:
    parts = _standing(c, n_rows)
    if c.terms:
        parts.append(_shares(c))
    if c.what_if:
        parts += [_what_if(c), _text(CAVEAT)]
    advices = advise(c)
    parts += [_text(f"\n{a.text}", style="bold") for a in advices if a.level == "answer"]
    for level, heading in _HEADINGS.items():
        told = [advice for advice in advices if advice.level == level]
        if told:
            parts.append(_text(f"\n{heading}:"))
            for advice in told:
                parts.append(_bullet(advice.text))
    if c.best is not None and c.best.stages:
        parts.append(_text(f"\nthe best weights, {c.source.sentence_name(c.best)}:\n"))
        parts.append(Padding(Text(clean(loss_block(c.best.stages), keep_lines=True)), (0, 0, 0, 4)))
    return Group(*parts)


def clean(text: object, *, keep_lines: bool = False) -> str:
    """Text without control characters: a name must not steer the terminal."""
    lines = str(text).split("\n") if keep_lines else [str(text)]
    return "\n".join(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", line) for line in lines)


def _listed(c: Comparison, n_rows: int) -> list[str]:
    """The best trials and all references."""
    labels = [str(label) for label in c.trials.index]
    special = {str(label) for label in c.trials.index[c.trials["role"] != ""]}
    return [label for i, label in enumerate(labels) if i < n_rows or label in special]


def _trials(c: Comparison, labels: list[str]) -> Table:
    statistic = next(
        (t.statistic.upper() for t in c.source.study if t.objective is not None), ""
    )  # fmt: skip
    title = f"validation {statistic}" if statistic else "trials"
    if c.source.baseline is not None:
        title += f", and its change against {clean(c.source.baseline_name)}"
    left = len(c.trials) - len(labels)
    table = Table(
        title=title, caption=f"{left} more in trials.csv" if left else None, title_justify="left"
    )
    metrics = [key for key in metric_keys(c.trials) if f"valid.{key}" in c.trials]
    table.add_column("trial", justify="right" if c.source.is_study else "left")
    table.add_column("")
    for key in metrics:
        metric = metric_of(key)
        table.add_column(f"{metric.title}\n{metric.unit}", justify="right", no_wrap=True)
    for label in labels:
        row = c.rows[label]
        what = str(row["role"])
        if row["state"] != "COMPLETE":
            what = _progress(row)
        cells = [_error(c, label, f"valid.{key}") for key in metrics]
        style = "bold" if "best" in what else "dim" if row["state"] != "COMPLETE" else None
        table.add_row(*(_text(cell) for cell in (label, what, *cells)), style=style)
    return table


def _progress(row: dict[str, Any]) -> str:
    state, epochs = str(row["state"]).lower(), row.get("epochs")
    return state if epochs is None or pd.isna(epochs) else f"{state} {epochs:.0f}"


def _error(c: Comparison, label: str, name: str) -> str:
    value, ratio = c.value(label, name), c.value(label, f"{name}.change")
    if math.isnan(value):
        return ""
    is_baseline = c.source.baseline is not None and c.source.label(c.source.baseline) == label
    if math.isnan(ratio) or is_baseline:
        return number(value)
    return f"{number(value)} {change(ratio).replace(' ', '')}"  # narrow: there are many columns


def _shares(c: Comparison) -> Table:
    """Shares of the chosen trials, in the last epoch."""
    table = Table(title="share of the loss in the last epoch", title_justify="left")
    table.add_column("term")
    shown = [label for label in c.chosen if c.balance(label) is not None]
    for label in shown:
        table.add_column(_text(f"{label}\n{c.rows[label]['role']}"), justify="right")
    for term in c.terms:
        cells = [b.shares.get(term) if (b := c.balance(label)) else None for label in shown]
        table.add_row(_text(term), *("" if v is None else percent(v) for v in cells))
    table.add_section()
    balances = [b for label in shown if (b := c.balance(label)) is not None]
    table.add_row(
        "effective terms", *(f"{b.effective_terms:.1f} of {len(b.active)}" for b in balances)
    )
    table.add_row("dominating", *(_text(b.dominant if b.dominating else "-") for b in balances))
    table.add_row("starved", *(_text("\n".join(b.starved) or "-") for b in balances))
    return table


def _what_if(c: Comparison) -> Table:
    weights = ", ".join(f"{name} = {value:g}" for name, value in c.weights.items())
    table = Table(title=_text(f"what if {weights}: share as recorded → with these weights"),
                  title_justify="left")  # fmt: skip
    table.add_column("term")
    for one in c.what_if:
        table.add_column(_text(f"trial {one.trial}"), justify="right")
    for term in c.terms:
        cells = []
        for one in c.what_if:
            if term not in one.recorded.shares:
                cells.append("")
                continue
            new = "?" if term in one.unknown_terms else percent(one.changed.shares[term])
            cells.append(f"{percent(one.recorded.shares[term])} → {new}")
        table.add_row(_text(term), *cells)
    table.add_section()
    table.add_row(
        "effective terms",
        *(f"{one.recorded.effective_terms:.1f} → {one.changed.effective_terms:.1f}"
          for one in c.what_if),
    )  # fmt: skip
    return table


def _bullet(text: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("  -", _text(text))
    return grid


def _text(text: object, style: str = "") -> Text:
    """Text without markup, so that a name cannot be taken for it."""
    return Text(clean(text, keep_lines=True), style=style)
