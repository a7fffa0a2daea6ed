"""The page's heat maps: shares, importances, conflicts."""

from __future__ import annotations

import math

import pandas as pd

from sweep.numbers import percent
from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.palette import DIVERGING, SEQUENTIAL
from sweep.report.figures.plots_base import Spec, as_list, axis, make_layout, plain, trial_caption
from sweep.report.names import metric_of

__all__ = ["conflict_matrix", "importance_map", "share_map"]

_TEXT_ROWS = 45  # a heat map of more rows has no room for numbers
_TOP_AXIS = 58  # pixels for the names of columns and, above them, the buttons
_GAP_ROWS = 200  # nor one of more for gaps between them


def share_map(c: Comparison) -> Spec | None:
    """Heat map of shares, trial by term, in the last epoch; with stages, buttons choose one."""
    if c.shares.empty:
        return None
    last = c.shares[c.shares["stage"] == c.shares.groupby("trial")["stage"].transform("max")]
    views = [("last epoch", last)]
    if c.shares["stage"].nunique() > 1:
        for _, rows in c.shares.groupby("stage"):
            views.append((f"end of {plain(rows['stage_name'].iloc[0])}", rows))
    labels = list(dict.fromkeys(c.shares["trial"]))
    data = [_share_trace(c, labels, rows, visible=not i) for i, (_, rows) in enumerate(views)]
    layout = make_layout(height=_rows_height(len(labels)))
    layout |= {
        "xaxis": axis("", side="top", type="category", showgrid=False),
        "yaxis": axis("trial, best first", autorange="reversed", type="category", showgrid=False),
        "plot_bgcolor": "#ececec",
    }
    layout["margin"]["t"] = _TOP_AXIS
    if len(views) > 1:
        layout["updatemenus"] = [
            {
                "type": "buttons", "direction": "right", "showactive": True,
                "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 12},
                "buttons": [
                    {"label": name, "method": "restyle",
                     "args": [{"visible": [i == shown for i in range(len(views))]}]}
                    for shown, (name, _) in enumerate(views)
                ],
            }
        ]  # fmt: skip
        layout["margin"]["b"] = 60
    return {"data": data, "layout": layout}


def _share_trace(c: Comparison, labels: list[str], rows: pd.DataFrame, *, visible: bool) -> Spec:
    shares, weights = (
        rows.pivot(index="trial", columns="term", values=name)
        .reindex(index=labels, columns=c.terms)
        .to_numpy(dtype=float)
        for name in ("share", "weight")
    )
    return {
        "type": "heatmap", "visible": visible, "x": [plain(term) for term in c.terms],
        "y": [trial_caption(c, label) for label in labels],
        "z": [as_list(row) for row in shares], "customdata": [as_list(row) for row in weights],
        "text": [[percent(v) if math.isfinite(v) else "" for v in row] for row in shares],
        "texttemplate": "%{text}" if len(labels) <= _TEXT_ROWS else "", "textfont": {"size": 11},
        "colorscale": [list(stop) for stop in SEQUENTIAL], "zmin": 0, "zmax": 1,
        "xgap": 1, "ygap": 1 if len(labels) <= _GAP_ROWS else 0, "hoverongaps": False,
        "colorbar": {"title": {"text": "share of the loss", "side": "right"}, "tickformat": ".0%",
                     "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "trial %{y}<br>%{x}: %{text} of the loss<br>"
                         "weight %{customdata:.4g}<extra></extra>",
    }  # fmt: skip


def conflict_matrix(c: Comparison, label: str) -> Spec | None:
    """Cosines between the gradients of the terms of one trial."""
    rows = c.conflicts[c.conflicts["trial"] == label]
    if rows.empty:
        return None
    terms = list(dict.fromkeys(rows["term"]))
    grid = rows.pivot(index="term", columns="other", values="cosine").reindex(
        index=terms, columns=terms
    )
    names = [plain(term) for term in terms]
    layout = make_layout(height=120 + 34 * len(terms))
    layout |= {
        "xaxis": axis("", type="category", showgrid=False, tickangle=-40),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
        "title": {"text": f"trial {trial_caption(c, label)}, epoch {int(rows['epoch'].iloc[0])}",
                  "font": {"size": 13}, "x": 0.02, "xanchor": "left"},
    }  # fmt: skip
    trace = {
        "type": "heatmap", "x": names, "y": names, "z": [as_list(row) for row in grid.to_numpy()],
        "zmin": -1, "zmax": 1, "colorscale": [list(stop) for stop in DIVERGING],
        "texttemplate": "%{z:.2f}" if len(terms) <= 12 else "", "textfont": {"size": 11},
        "xgap": 1, "ygap": 1, "hovertemplate": "%{y} and %{x}: cosine %{z:.3f}<extra></extra>",
        "colorbar": {"title": {"text": "cosine", "side": "right"}, "thickness": 10,
                     "outlinewidth": 0},
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def importance_map(c: Comparison) -> Spec | None:
    """Heat map of the importance of every searched key for every metric."""
    table = c.importances
    if table.empty:
        return None
    metrics = list(dict.fromkeys(table["metric"]))
    keys = list(dict.fromkeys(table["parameter"]))
    grid, directions = (
        table.pivot(index="parameter", columns="metric", values=name).reindex(keys, columns=metrics)
        for name in ("importance", "correlation")
    )
    names = [plain(c.parameters[key]) for key in keys]
    trace = {
        "type": "heatmap", "x": [metric_of(key).title for key in metrics], "y": names,
        "z": [as_list(row) for row in grid.to_numpy()],
        "text": [
            [f"{percent(value)}<br>{_direction(correlation)}"
             for value, correlation in zip(*both, strict=True)]
            for both in zip(grid.to_numpy(), directions.to_numpy(dtype=float), strict=True)
        ],
        "colorscale": [list(stop) for stop in SEQUENTIAL], "zmin": 0, "zmax": 1,
        "texttemplate": "%{text}", "textfont": {"size": 11}, "xgap": 1, "ygap": 1,
        "colorbar": {"title": {"text": "importance", "side": "right"}, "tickformat": ".0%",
                     "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "%{y}, for %{x}: %{text}<extra></extra>",
    }  # fmt: skip
    layout = make_layout(height=110 + 44 * len(keys))
    layout |= {
        "xaxis": axis("", side="top", type="category", showgrid=False),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
    }
    layout["margin"]["t"] = _TOP_AXIS
    return {"data": [trace], "layout": layout}


def _rows_height(n_rows: int) -> int:
    return min(140 + 24 * n_rows, 1200)


def _direction(correlation: float) -> str:
    if not math.isfinite(correlation) or abs(correlation) < 0.3:
        return ""
    return "larger is worse" if correlation > 0 else "larger is better"
