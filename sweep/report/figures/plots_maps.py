"""The page's heat maps: shares, importances, conflicts."""

from __future__ import annotations

import math
from typing import Any

from sweep.numbers import percent
from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.data import Grid, conflict_grid, importance_grid, share_grids
from sweep.report.figures.palette import DIVERGING, SEQUENTIAL
from sweep.report.figures.plots_base import Spec, as_list, axis, make_layout, plain

__all__ = ["conflict_matrix", "importance_map", "share_map"]

_TEXT_ROWS = 45  # a heat map of more rows has no room for numbers
_TOP_AXIS = 58  # pixels for the names of columns and, above them, the buttons
_GAP_ROWS = 200  # nor one of more for gaps between them


def share_map(c: Comparison) -> Spec | None:
    """Heat map of shares, trial by term, in the last epoch; with stages, buttons choose one."""
    grids = share_grids(c)
    if not grids:
        return None
    n_rows = len(grids[0].rows)
    data = []
    for i, grid in enumerate(grids):
        texts = [[percent(v) if math.isfinite(v) else "" for v in row]
                 for row in grid.values.to_numpy()]  # fmt: skip
        trace = _heat(grid, SEQUENTIAL, 0, "share of the loss", thickness=12, tickformat=".0%")
        data.append(trace | {
            "visible": not i, "text": texts, "hoverongaps": False,
            "customdata": [as_list(row) for row in grid.more["weight"].to_numpy()],
            "texttemplate": "%{text}" if n_rows <= _TEXT_ROWS else "",
            "ygap": 1 if n_rows <= _GAP_ROWS else 0,
            "hovertemplate": "trial %{y}<br>%{x}: %{text} of the loss<br>"
                             "weight %{customdata:.4g}<extra></extra>",
        })  # fmt: skip
    layout = _layout(min(140 + 24 * n_rows, 1200), "trial, best first")
    layout["plot_bgcolor"] = "#ececec"
    if len(grids) > 1:
        layout["updatemenus"] = [
            {
                "type": "buttons", "direction": "right", "showactive": True,
                "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 12},
                "buttons": [
                    {"label": plain(grid.title), "method": "restyle",
                     "args": [{"visible": [i == shown for i in range(len(grids))]}]}
                    for shown, grid in enumerate(grids)
                ],
            }
        ]  # fmt: skip
        layout["margin"]["b"] = 60
    return {"data": data, "layout": layout}


def conflict_matrix(c: Comparison, label: str) -> Spec | None:
    """Cosines between the gradients of the terms of one trial."""
    grid = conflict_grid(c, label)
    if grid is None:
        return None
    n_terms = len(grid.rows)
    layout = make_layout(height=120 + 34 * n_terms)
    layout |= {
        "xaxis": axis("", type="category", showgrid=False, tickangle=-40),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
        "title": {"text": plain(grid.title), "font": {"size": 13}, "x": 0.02, "xanchor": "left"},
    }
    trace = _heat(grid, DIVERGING, -1, "cosine", thickness=10) | {
        "texttemplate": "%{z:.2f}" if n_terms <= 12 else "",
        "hovertemplate": "%{y} and %{x}: cosine %{z:.3f}<extra></extra>",
    }
    return {"data": [trace], "layout": layout}


def importance_map(c: Comparison) -> Spec | None:
    """Heat map of the importance of every searched key for every metric."""
    grid = importance_grid(c)
    if grid is None:
        return None
    texts = [
        [f"{percent(value)}<br>{_direction(correlation)}"
         for value, correlation in zip(*both, strict=True)]
        for both in zip(grid.values.to_numpy(), grid.more["correlation"].to_numpy(), strict=True)
    ]  # fmt: skip
    trace = _heat(grid, SEQUENTIAL, 0, "importance", thickness=12, tickformat=".0%") | {
        "text": texts, "texttemplate": "%{text}",
        "hovertemplate": "%{y}, for %{x}: %{text}<extra></extra>",
    }  # fmt: skip
    return {"data": [trace], "layout": _layout(110 + 44 * len(grid.rows), "")}


def _heat(grid: Grid, stops: Any, low: float, title: str, **bar: Any) -> Spec:
    """What all heat maps have in common; values run up to 1."""
    return {
        "type": "heatmap", "x": [plain(name) for name in grid.columns],
        "y": [plain(name) for name in grid.rows],
        "z": [as_list(row) for row in grid.values.to_numpy()], "zmin": low, "zmax": 1,
        "colorscale": [list(stop) for stop in stops], "textfont": {"size": 11},
        "xgap": 1, "ygap": 1,
        "colorbar": {"title": {"text": title, "side": "right"}, "outlinewidth": 0, **bar},
    }  # fmt: skip


def _layout(height: int, title: str) -> dict[str, Any]:
    """The layout of a map with its columns' names above it."""
    layout = make_layout(height=height)
    layout |= {
        "xaxis": axis("", side="top", type="category", showgrid=False),
        "yaxis": axis(title, autorange="reversed", type="category", showgrid=False),
    }
    layout["margin"]["t"] = _TOP_AXIS
    return layout


def _direction(correlation: float) -> str:
    if not math.isfinite(correlation) or abs(correlation) < 0.3:
        return ""
    return "larger is worse" if correlation > 0 else "larger is better"
