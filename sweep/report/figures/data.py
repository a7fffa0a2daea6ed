"""The data of the figures, prepared once: the page and the papers only draw them.

Texts are as they are; whoever draws takes care of markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.measures import all_roles
from sweep.report.comparison.studies import all_trials, common_pair
from sweep.report.names import SPLITS, Metric, metric_of

__all__ = [
    "Bars", "Changes", "Grid", "Series", "ShareHistory", "caption", "changes", "conflict_grid",
    "gradient_bars", "importance_grid", "share_grids", "share_history", "study_series",
    "what_if_bars",
]  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """A heat map.

    Attributes:
        title: What it shows.
        rows: Names of the rows.
        columns: Names of the columns.
        values: Shape [rows, columns]; NaN for an empty cell.
        more: Further numbers of the cells by name, of the same shape.
    """

    title: str
    rows: list[str]
    columns: list[str]
    values: pd.DataFrame
    more: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Bars:
    """Stacked bars of shares.

    Attributes:
        title: What their length is.
        terms: The terms in the order in which they are stacked.
        bars: Name of each bar and its shares by term.
    """

    title: str
    terms: list[str]
    bars: list[tuple[str, dict[str, float]]]


@dataclass(frozen=True)
class ShareHistory:
    """Shares of one trial over its training.

    Attributes:
        title: The trial.
        epochs: Epochs, in parts.
        shares: Share of every term at each of them.
        stage_starts: Epochs at which a stage but the first begins.
        weights: Weight of every term that has one at each of them; None where it is off.
        moves: Whether the weights followed the training.
    """

    title: str
    epochs: list[float]
    shares: dict[str, list[float]]
    stage_starts: list[float]
    weights: dict[str, list[float | None]]
    moves: bool


@dataclass(frozen=True)
class Changes:
    """Relative changes of errors against the baseline.

    Attributes:
        split: ``valid`` or ``test``: the test set where there is one.
        baseline: What the baseline is called.
        metrics: Titles of the metrics.
        names: What every trial is called, by role.
        values: Changes of every metric, by role; None where they are not known.
    """

    split: str
    baseline: str
    metrics: list[str]
    names: dict[str, str]
    values: dict[str, list[float | None]]

    @property
    def title(self) -> str:
        """What is drawn."""
        return f"error on the {SPLITS[self.split]} set relative to {self.baseline}"


@dataclass(frozen=True)
class Series:
    """The ranked trials of one study as points.

    Attributes:
        name: The study.
        names: What every trial is called.
        x: Their first metric.
        y: Their second metric.
        roles: ``default``, ``best``, … or nothing.
    """

    name: str
    names: list[str]
    x: list[float]
    y: list[float]
    roles: list[str]


def study_series(comparisons: Sequence[Comparison]) -> tuple[Metric, Metric, list[Series]] | None:
    """Two validation errors that all studies measured, and the ranked trials of each of them."""
    pair = common_pair(comparisons) if len(comparisons) > 1 else None
    if pair is None:
        return None
    series = []
    for c in comparisons:
        table = c.ranked.dropna(subset=[f"valid.{key}" for key in pair])
        x, y = ([float(value) for value in table[f"valid.{key}"]] for key in pair)
        names = [c.source.sentence_name(c.trial_of[str(label)]) for label in table.index]
        series.append(Series(c.source.name, names, x, y, [str(role) for role in table["role"]]))
    first, second = (metric_of(key, all_trials(comparisons)) for key in pair)
    return first, second, series


def caption(c: Comparison, label: str) -> str:
    """A trial on an axis: its label, what is special about it, its state if it is not complete."""
    row = c.rows[label]
    state = "" if row["state"] == "COMPLETE" else str(row["state"]).lower()
    return " · ".join(word for word in (label, str(row["role"]), state) if word)


def changes(c: Comparison) -> Changes | None:
    """Errors of the balanced and the best weights against the baseline."""
    baseline = c.source.baseline
    shown = {
        role: f"{name}: {c.source.sentence_name(c.shown[role])}"
        for role, name in all_roles(c.shown).items()
        if baseline is not None and c.shown[role].folder != baseline.folder
    }
    split = "test" if any(row.split == "test" for row in c.answer) else "valid"
    rows = [row for row in c.answer if row.split == split
            and any(row.change(role) is not None for role in shown)]  # fmt: skip
    if not rows:
        return None
    return Changes(
        split,
        c.source.baseline_name,
        [row.metric.title for row in rows],
        shown,
        {role: [row.change(role) for row in rows] for role in shown},
    )


def share_grids(c: Comparison) -> list[Grid]:
    """Shares by trial and term, in the last epoch; with stages, then at the end of each.

    Further numbers: ``weight``.
    """
    if c.shares.empty:
        return []
    last = c.shares[c.shares["stage"] == c.shares.groupby("trial")["stage"].transform("max")]
    views = [("last epoch", last)]
    if c.shares["stage"].nunique() > 1:
        views += [(f"end of {rows['stage_name'].iloc[0]}", rows)
                  for _, rows in c.shares.groupby("stage")]  # fmt: skip
    labels = list(dict.fromkeys(c.shares["trial"]))
    names = [caption(c, label) for label in labels]
    grids = []
    for title, rows in views:
        shares, weights = (
            _pivot(rows, "trial", "term", value, labels, c.terms) for value in ("share", "weight")
        )
        grids.append(Grid(title, names, c.terms, shares, {"weight": weights}))
    return grids


def conflict_grid(c: Comparison, label: str) -> Grid | None:
    """Cosines between the gradients of the terms of one trial."""
    rows = c.conflicts[c.conflicts["trial"] == label]
    if rows.empty:
        return None
    terms = list(dict.fromkeys(rows["term"]))
    title = f"{_name(c, label)}, epoch {int(rows['epoch'].iloc[0])}"
    return Grid(title, terms, terms, _pivot(rows, "term", "other", "cosine", terms, terms))


def importance_grid(c: Comparison) -> Grid | None:
    """Importance of every searched key for every metric; further numbers: ``correlation``."""
    table = c.importances
    if table.empty:
        return None
    keys, metrics = (list(dict.fromkeys(table[name])) for name in ("parameter", "metric"))
    values, correlation = (
        _pivot(table, "parameter", "metric", name, keys, metrics)
        for name in ("importance", "correlation")
    )
    return Grid(
        "importance", [c.parameters[key] for key in keys],
        [metric_of(key).title for key in metrics], values, {"correlation": correlation},
    )  # fmt: skip


def share_history(c: Comparison, label: str) -> ShareHistory | None:
    """Shares of one trial over its training; 0 where its loss lacks a term."""
    rows = c.evolution[c.evolution["trial"] == label]
    if rows.empty:
        return None
    wide = rows.pivot(index="epoch", columns="term", values="share").fillna(0.0)
    terms = list(dict.fromkeys(rows["term"]))
    starts = rows.groupby("stage")["epoch"].min().iloc[1:]
    weights = rows.pivot(index="epoch", columns="term", values="weight")
    return ShareHistory(
        _name(c, label),
        [float(epoch) for epoch in wide.index],
        {str(term): [float(value) for value in wide[term]] for term in terms},
        [float(epoch) for epoch in starts],
        {
            str(term): [float(w) if w > 0 else None for w in weights[term]]
            for term in terms
            if (weights[term] > 0).any()
        },
        _moves(rows),
    )


def _moves(rows: pd.DataFrame) -> bool:
    """Whether weights followed the training: they differ inside of a stage."""
    acting = rows[rows["weight"] > 0].groupby(["stage", "term"])["weight"]
    return bool((acting.max() > acting.min() * (1 + 1e-6)).any())


def gradient_bars(c: Comparison) -> Bars | None:
    """Share of the loss and share of the gradients, one pair of bars per chosen trial."""
    if c.gradients.empty:
        return None
    newest = c.gradients.groupby("trial")["epoch"].transform("max")
    last = c.gradients[c.gradients["epoch"] == newest]
    bars = []
    for label in c.chosen:
        rows = last[last["trial"] == label]
        if rows.empty:
            continue
        name, balance = caption(c, label), c.balance(label)
        if balance is not None:
            bars.append((f"{name}, loss", balance.shares))
        shares = dict(zip(rows["term"], rows["norm_share"], strict=True))
        bars.append((f"{name}, gradients (epoch {int(rows['epoch'].iloc[0])})", shares))
    title = "share of the loss in the last epoch; share of the gradient norms"
    return Bars(title, c.terms, bars)


def what_if_bars(c: Comparison) -> Bars | None:
    """Shares as recorded and under other weights, one pair of bars per chosen trial."""
    bars = [
        (f"{caption(c, one.trial)}, {kind}", balance.shares)
        for one in c.what_if
        for kind, balance in (("recorded", one.recorded), ("what if", one.changed))
    ]
    return Bars("share of the loss in the last epoch", c.terms, bars) if bars else None


def _name(c: Comparison, label: str) -> str:
    name = caption(c, label)
    return f"trial {name}" if c.source.is_study else name


def _pivot(
    table: pd.DataFrame, rows: str, columns: str, value: str,
    row_names: Sequence[str], column_names: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    wide = table.pivot(index=rows, columns=columns, values=value)
    return wide.reindex(index=list(row_names), columns=list(column_names)).astype(float)
