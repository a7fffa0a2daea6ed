"""The page's bars and histories: changes of errors, shares of loss and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweep.numbers import change
from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.data import Bars, ShareHistory, changes, study_series
from sweep.report.figures.data import share_history as history_of
from sweep.report.figures.palette import COLOURS, ROLE_COLOURS, SYMBOLS, mark_of, term_styles
from sweep.report.figures.plots_base import (
    Spec,
    as_json,
    axis,
    log_axis,
    make_layout,
    plain,
    vertical,
)
from sweep.report.names import Metric

__all__ = ["change_bars", "share_history", "stacked_bars", "study_scatter", "weight_history"]


def change_bars(c: Comparison) -> Spec | None:
    """Errors of the balanced and the best weights relative to the baseline."""
    found = changes(c)
    if found is None:
        return None
    titles = [plain(title) for title in found.metrics]
    data: list[Spec] = [
        {
            "type": "bar", "orientation": "h", "name": plain(found.names[role]),
            "y": titles, "x": values, "marker": {"color": ROLE_COLOURS[role]},
            "text": ["" if v is None else change(v) for v in values],
            "textposition": "outside", "cliponaxis": False,
            "hovertemplate": "%{y}: %{x:+.1%}<extra>%{fullData.name}</extra>",
        }
        for role, values in found.values.items()
    ]  # fmt: skip
    finite = [value for values in found.values.values() for value in values if value is not None]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    margin = 0.14 * (high - low or 1.0)
    layout = make_layout(height=100 + (18 * len(found.names) + 14) * len(titles))
    layout |= {
        "barmode": "group", "bargap": 0.3, "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": axis(plain(found.title), tickformat="+.0%",
                       range=[low - margin * (low < 0), high + margin], zerolinecolor="#444",
                       zerolinewidth=1.2),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
    }  # fmt: skip
    return {"data": data, "layout": layout}


def share_history(c: Comparison, label: str) -> Spec | None:
    """Shares of one trial over its training, stacked."""
    found = history_of(c, label)
    if found is None:
        return None
    styles = term_styles([*c.terms, *(term for term in found.shares if term not in c.terms)])
    data = [
        {
            "type": "scatter", "mode": "lines", "stackgroup": "shares", "name": plain(term),
            "x": found.epochs, "y": shares,
            "line": {"width": 0.5, "color": styles[term].colour},
            "fillcolor": styles[term].colour, "fillpattern": {"shape": styles[term].pattern},
            "hovertemplate": "%{y:.1%}",
        }
        for term, shares in found.shares.items()
    ]  # fmt: skip
    return _history(found, data, axis("share of the loss", tickformat=".0%", range=[0, 1]))


def weight_history(c: Comparison, label: str) -> Spec | None:
    """Weights of one trial over its training, on a logarithmic axis; None if they stood still."""
    found = history_of(c, label)
    if found is None or not found.moves:
        return None
    styles = term_styles([*c.terms, *(term for term in found.shares if term not in c.terms)])
    data = [
        {
            "type": "scatter", "mode": "lines", "name": plain(term), "x": found.epochs,
            "y": weights, "line": {"width": 1.5, "color": styles[term].colour},
            "hovertemplate": "%{y:.3g}",
        }
        for term, weights in found.weights.items()
    ]  # fmt: skip
    return _history(found, data, axis("weight", type="log"))


def _history(found: ShareHistory, data: list[Spec], y_axis: Spec) -> Spec:
    """Curves over the epochs of one trial, with the beginnings of its stages."""
    layout = make_layout(height=270)
    layout |= {
        "showlegend": False, "hovermode": "x unified",
        "xaxis": axis("epoch"),
        "yaxis": y_axis,
        "title": {"text": plain(found.title), "font": {"size": 13}, "x": 0.02, "xanchor": "left"},
        "shapes": [vertical(x) for x in found.stage_starts],
    }  # fmt: skip
    return {"data": data, "layout": layout}


def study_scatter(comparisons: Sequence[Comparison]) -> Spec | None:
    """Two validation errors of the ranked trials of several studies, a colour for each study."""
    found = study_series(comparisons)
    if found is None:
        return None
    first, second, all_series = found
    data = []
    for i, series in enumerate(all_series):
        marks = [mark_of(roles) for roles in series.roles]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": plain(series.name),
                "x": series.x, "y": series.y, "text": [plain(name) for name in series.names],
                "marker": {"color": COLOURS[i % len(COLOURS)],
                           "symbol": [SYMBOLS[mark] for mark in marks],
                           "size": [14 if mark else 8 for mark in marks],
                           "line": {"color": "white", "width": 1}},
                "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    layout = make_layout(height=420)
    layout |= {
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": log_axis(_title(first), [x for one in all_series for x in one.x]),
        "yaxis": log_axis(_title(second), [y for one in all_series for y in one.y]),
    }
    return {"data": data, "layout": layout}


def _title(metric: Metric) -> str:
    return f"{metric.title}, validation ({metric.unit})" if metric.unit else metric.title


def stacked_bars(found: Bars | None) -> Spec | None:
    """Shares as stacked bars."""
    if found is None:
        return None
    styles = term_styles(found.terms)
    rows = [plain(name) for name, _ in found.bars]
    data = []
    for term in found.terms:
        values = [as_json(shares.get(term, math.nan)) for _, shares in found.bars]
        data.append(
            {
                "type": "bar", "orientation": "h", "name": plain(term), "y": rows, "x": values,
                "marker": {"color": styles[term].colour, "line": {"color": "white", "width": 1},
                           "pattern": {"shape": styles[term].pattern}},
                "text": ["" if v is None or v < 0.04 else f"{100 * v:.0f} %" for v in values],
                "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
                "constraintext": "none",
                "hovertemplate": "%{y}<br>%{fullData.name}: %{x:.1%}<extra></extra>",
            }
        )  # fmt: skip
    layout = make_layout(height=90 + 30 * len(rows))
    layout |= {
        "barmode": "stack", "bargap": 0.25, "showlegend": False,
        "xaxis": axis(found.title, tickformat=".0%", range=[0, 1]),
        "yaxis": axis("", autorange="reversed", type="category", showgrid=False),
    }  # fmt: skip
    return {"data": data, "layout": layout}
