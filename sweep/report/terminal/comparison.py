"""The comparison in the terminal: the trials, the balance, the advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from sweep.console import make_table, plain
from sweep.numbers import above, number, percent, with_change
from sweep.records.weights_file import loss_block
from sweep.report.advice.headline import gain
from sweep.report.advice.rules import advise
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.studies import all_trials, differences, standings
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.comparison.what_if import CAVEAT
from sweep.report.names import SPLITS, metric_of
from sweep.report.recommendation import recommend

__all__ = ["show_comparisons", "show_standing"]

_HEADINGS = {"caution": "before you rely on it", "hint": "what the numbers say"}


def show_comparisons(comparisons: Sequence[Comparison], *, n_rows: int) -> RenderableType:
    """What is printed of some studies.

    Args:
        comparisons: The studies.
        n_rows: Number of trials that a table lists, beside the references.
    """
    parts = [_show(c, n_rows) for c in comparisons]
    if len(comparisons) > 1:
        parts += _studies(comparisons)
    return Group(*parts)


def _studies(comparisons: Sequence[Comparison]) -> list[RenderableType]:
    """Default and answer of every study, and what differs between the studies."""
    keys = list(dict.fromkeys(key for c in comparisons for key in metric_keys(c.trials)))
    rows = []
    for one in standings(comparisons):
        measures = [one.measures.get(key) for key in keys]
        cells = ["" if m is None else with_change(m.number, m.change, narrow=True)
                 for m in measures]  # fmt: skip
        role = ", ".join(word for word in (one.role, one.trial) if word)
        rows.append([one.comparison.source.name, role, SPLITS[one.split], *cells])
    shown = [metric_of(key, all_trials(comparisons)) for key in keys]
    headings = [f"{metric.title}\n{metric.unit}" for metric in shown]
    parts: list[RenderableType] = [
        plain(""),
        make_table("the studies, each against its own default",
                   ["study", "weights", "data", *headings], rows, align="lll"),
    ]  # fmt: skip
    found = differences(comparisons)
    if found:
        names = [c.source.name for c in comparisons]
        table = [[key, *values] for key, values in found.items()]
        parts.append(make_table("what differs between them", ["key", *names], table,
                                align="l" * (1 + len(names))))  # fmt: skip
    return parts


def show_standing(comparisons: Sequence[Comparison], *, n_rows: int) -> RenderableType:
    """The first lines of :func:`show_comparisons`, for a screen that is drawn again and again."""
    parts: list[RenderableType] = []
    for c in comparisons:
        parts += _standing(c, n_rows)
        parts += [plain(advice.text) for advice in gain(c)]
    return Group(*parts)


def _standing(c: Comparison, n_rows: int) -> list[RenderableType]:
    """How many trials there are in which state, what was left out, the best trials."""
    states = c.trials["state"].value_counts()
    counts = ", ".join(f"{n} {str(state).lower()}" for state, n in states.sort_index().items())
    parts: list[RenderableType] = [
        plain(f"\n{'study ' if c.source.is_study else ''}{c.source.name}: {len(c.trials)} trials"
              f"{f' ({counts})' if counts else ''}", style="bold")
    ]  # fmt: skip
    parts += [plain(f"left out: {reason}") for reason in c.source.study.unreadable.values()]
    if len(c.trials):
        listed = _listed(c, n_rows)
        parts.append(_trials(c, listed))
        notes = {c.source.label(trial): trial.note for trial in c.source.study}
        parts += [plain(f"{label}: {notes[label]}") for label in listed if notes[label]]
    return parts


def _show(c: Comparison, n_rows: int) -> RenderableType:
    parts = _standing(c, n_rows)
    if c.terms:
        parts.append(_shares(c))
    if c.what_if:
        parts += [_what_if(c), plain(CAVEAT)]
    advices = advise(c)
    parts += [plain(f"\n{a.text}", style="bold") for a in advices if a.level == "answer"]
    for level, heading in _HEADINGS.items():
        told = [advice for advice in advices if advice.level == level]
        if told:
            parts.append(plain(f"\n{heading}:"))
            for advice in told:
                parts.append(_bullet(advice.text))
    answer = recommend(c.source.study, c.confirmation)
    if answer is not None and answer.trial.stages:
        parts.append(plain(f"\nthe {answer.name}, {c.source.sentence_name(answer.trial)}:"))
        if answer.caveat is not None:
            parts.append(plain(answer.caveat))
        parts.append(plain(""))
        parts.append(Padding(plain(loss_block(answer.trial.stages)), (0, 0, 0, 4)))
    return Group(*parts)


def _listed(c: Comparison, n_rows: int) -> list[str]:
    """The best trials and all references."""
    labels = [str(label) for label in c.trials.index]
    special = {str(label) for label in c.trials.index[c.trials["role"] != ""]}
    return [label for i, label in enumerate(labels) if i < n_rows or label in special]


def _trials(c: Comparison, labels: list[str]) -> Table:
    statistic = next((t.statistic.upper() for t in c.source.study if t.objective is not None), "")
    title = f"validation {statistic}" if statistic else "trials"
    if c.source.baseline is not None:
        title += f", and its change against {c.source.baseline_name}"
    metrics = [key for key in metric_keys(c.trials) if f"valid.{key}" in c.trials]
    rows, styles = [], []
    for label in labels:
        row = c.rows[label]
        what = _what(c, label)
        rows.append([label, what, *(_error(c, label, f"valid.{key}") for key in metrics)])
        is_best = row["state"] == "COMPLETE" and c.best_role in what
        is_shown = row["state"] == "COMPLETE" and label not in c.source.unranked
        styles.append("bold" if is_best else None if is_shown else "dim")
    left = len(c.trials) - len(labels)
    shown = [metric_of(key, c.source.study) for key in metrics]
    headings = [f"{metric.title}\n{metric.unit}" for metric in shown]
    return make_table(
        title, ["trial", "", *headings], rows, align="rl" if c.source.is_study else "ll",
        caption=f"{left} more in trials.csv" if left else None, styles=styles,
    )  # fmt: skip


def _what(c: Comparison, label: str) -> str:
    """What is special about a trial: its roles, its state, why it is not ranked."""
    row = c.rows[label]
    if row["state"] != "COMPLETE":
        return _progress(row)
    words = [str(row["role"])] if row["role"] else []
    if label in c.source.broken:
        words.append("beyond a limit")
    elif label in c.source.unranked:
        words.append(f"as trial {c.trial_of[label].same_as}")
    return ", ".join(words)


def _progress(row: dict[str, Any]) -> str:
    state, epochs = str(row["state"]).lower(), row.get("epochs")
    return state if epochs is None or pd.isna(epochs) else f"{state} {epochs:.0f}"


def _error(c: Comparison, label: str, name: str) -> str:
    value, ratio = c.value(label, name), c.value(label, f"{name}.change")
    if math.isnan(value):
        return ""
    baseline = "" if c.source.baseline is None else c.source.label(c.source.baseline)
    is_baseline = baseline == label
    allowed = c.source.broken.get(label, {}).get(name.removeprefix("valid."))
    if allowed is not None and not is_baseline:  # as many digits as show that it is beyond
        text = above(value, allowed * c.value(baseline, name))
        if ratio > 0 and allowed >= 1:
            return f"{text} +{above(100 * ratio, 100 * (allowed - 1), 2)}%"
        return with_change(text, ratio, narrow=True)
    # narrow: there are many columns
    return with_change(number(value), None if is_baseline else ratio, narrow=True)


def _shares(c: Comparison) -> Table:
    """Shares of the chosen trials, in the last epoch."""
    shown = {label: b for label in c.chosen if (b := c.balance(label)) is not None}
    rows: list[list[str] | None] = [
        [term, *("" if (v := b.shares.get(term)) is None else percent(v) for b in shown.values())]
        for term in c.terms
    ]
    balances = shown.values()
    rows += [
        None,
        ["effective terms", *(f"{b.effective_terms:.1f} of {len(b.active)}" for b in balances)],
        ["dominating", *(b.dominant if b.dominating else "-" for b in balances)],
        ["starved", *("\n".join(b.starved) or "-" for b in balances)],
    ]
    headings = [f"{label}\n{c.rows[label]['role']}" for label in shown]
    return make_table("share of the loss in the last epoch", ["term", *headings], rows)


def _what_if(c: Comparison) -> Table:
    weights = ", ".join(f"{name} = {value:g}" for name, value in c.weights.items())
    rows: list[list[str] | None] = []
    for term in c.terms:
        cells = []
        for one in c.what_if:
            if term not in one.recorded.shares:
                cells.append("")
                continue
            new = "?" if term in one.unknown_terms else percent(one.changed.shares[term])
            cells.append(f"{percent(one.recorded.shares[term])} → {new}")
        rows.append([term, *cells])
    terms = [f"{one.recorded.effective_terms:.1f} → {one.changed.effective_terms:.1f}"
             for one in c.what_if]  # fmt: skip
    rows += [None, ["effective terms", *terms]]
    return make_table(
        f"what if {weights}: share as recorded → with these weights",
        ["term", *(f"trial {one.trial}" for one in c.what_if)], rows,
    )  # fmt: skip


def _bullet(text: str) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("  -", plain(text))
    return grid
