"""The page's learning curves, history of the search, and parallel coordinates."""

from __future__ import annotations

from typing import Any

from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.palette import line_colour
from sweep.report.figures.plots_base import Spec, axis, log_axis, make_layout, plain, vertical
from sweep.report.figures.progress import Panel, learning_panels, parallel_axes, search_panels

__all__ = ["learning_curves", "parallel_coordinates", "search_history"]


def learning_curves(c: Comparison) -> list[Spec]:
    """A metric each, by epoch, of the weights that matter."""
    specs = []
    for panel in learning_panels(c):
        data = [
            {
                "type": "scatter", "mode": "lines", "name": plain(name), "x": points.x,
                "y": points.y, "line": {"color": line_colour(name), "width": 2},
                "hovertemplate": "%{y:.4g}",
            }
            for name, points in panel.lines.items()
        ]  # fmt: skip
        specs.append({"data": data, "layout": _layout(panel, "epoch")})
    return specs


def search_history(c: Comparison) -> list[Spec]:
    """What the search minimises by number of the trial, and the best so far."""
    looks: dict[str, dict[str, Any]] = {
        "ranked": {"mode": "markers", "marker": {"size": 8, "color": "#56B4E9"}},
        "not ranked": {
            "mode": "markers",
            "marker": {"size": 7, "color": "white", "line": {"color": "#999", "width": 1.3}},
        },
        "best so far": {"mode": "lines", "line": {"color": "#0072B2", "shape": "hv", "width": 2}},
    }
    specs = []
    for panel in search_panels(c):
        data = [
            {
                "type": "scatter", "name": name, "x": points.x, "y": points.y,
                "text": [plain(text) for text in points.names],
                "hovertemplate": "%{text}: %{y:.4g}<extra></extra>" if points.names else "%{y:.4g}",
                **looks[name],
            }
            for name, points in panel.lines.items()
        ]  # fmt: skip
        specs.append({"data": data, "layout": _layout(panel, "trial", hovermode="closest")})
    return specs


def _layout(panel: Panel, below: str, hovermode: str = "x unified") -> dict[str, Any]:
    layout = make_layout(height=290)
    title = f"{panel.title} ({panel.unit})" if panel.unit else panel.title
    values = [value for points in panel.lines.values() for value in points.y]
    layout |= {
        "hovermode": hovermode, "showlegend": True,
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0,
                   "font": {"size": 11}},
        "xaxis": axis(below),
        "yaxis": log_axis(title, values) if panel.is_log else axis(title),
    }  # fmt: skip
    layout["margin"]["t"] = 50
    return layout


def parallel_coordinates(c: Comparison) -> Spec | None:
    """Every ranked trial a line over its searched values and errors; the darker, the better.

    Plotly's own parallel coordinates need WebGL, which many a remote desktop lacks.
    """
    found = parallel_axes(c)
    if found is None:
        return None
    positions = list(range(len(found.axes)))
    data: list[Spec] = []
    for row in reversed(range(len(found.names))):  # the best on top
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": plain(found.names[row]),
                "x": positions, "y": [one.height(row) for one in found.axes],
                "text": [one.texts[row] for one in found.axes],
                "line": {"color": _shade(row / max(1, len(found.names) - 1)),
                         "width": 2.5 if row == 0 else 1.2},
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    marks = [(i, one.position(value), text) for i, one in enumerate(found.axes)
             for value, text in one.ticks]  # fmt: skip
    layout = make_layout(height=420)
    layout |= {
        "showlegend": False, "hovermode": "closest",
        "shapes": [vertical(i) | {"line": {"color": "#999", "width": 1}} for i in positions],
        "xaxis": axis("", tickvals=positions, ticktext=[plain(one.title) for one in found.axes],
                      range=[-0.5, len(positions) - 0.5], showgrid=False, tickangle=-25,
                      ticklabeloverflow="allow"),
        "yaxis": axis("", visible=False, range=[-0.05, 1.05]),
        "annotations": [
            {"x": x, "y": y, "text": plain(text), "showarrow": False, "xanchor": "left",
             "xshift": 3, "font": {"size": 10}, "bgcolor": "rgba(255,255,255,0.7)"}
            for x, y, text in marks
        ],
    }  # fmt: skip
    layout["margin"]["l"] = 90  # for the first axis' title
    return {"data": data, "layout": layout}


def _shade(place: float) -> str:
    """From dark blue for the best to a pale grey blue."""
    dark, pale = (8, 57, 92), (200, 215, 226)
    mixed = [round(a + (b - a) * place**0.6) for a, b in zip(dark, pale, strict=True)]
    return f"rgb({mixed[0]},{mixed[1]},{mixed[2]})"
