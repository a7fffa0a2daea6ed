"""The scatter plots for a paper, and what all its figures share."""

from __future__ import annotations

import math
from typing import Any

from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.explorer import explorer
from sweep.report.figures.palette import COLOURS, ROLE_COLOURS, mark_of
from sweep.report.names import weight_term

__all__ = ["WIDTH", "draw_pareto", "draw_scatter", "make_figure", "plain_numbers"]

WIDTH = 7.0  # inches: two columns of a journal


def make_figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> Any:
    """A figure without a window, and its axes as a flat list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, list(axes.flat)


def plain_numbers(axis: Any) -> None:
    """Plain numbers on a logarithmic axis, the more the fewer powers of ten it spans."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    width = high / low if low > 0 else math.inf
    digits = range(1, 10) if width < 4 else (1, 2, 5) if width < 50 else (1,)
    axis.set_major_locator(LogLocator(subs=[float(digit) for digit in digits]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def draw_scatter(c: Comparison) -> Any:
    """Every searched key against the score."""
    free = explorer(c)
    if free is None or not c.parameters or "valid.score" not in free["columns"]:
        return None
    n_rows = math.ceil(len(c.parameters) / 3)
    figure, axes = make_figure(
        WIDTH, 0.4 + 2.0 * n_rows, n_rows, min(3, len(c.parameters)), sharey=True
    )
    for key, panel in zip(c.parameters, axes, strict=False):
        _points(panel, free, f"param.{key}", "valid.score")
        kind = "weight of " if weight_term(key) is not None else ""
        panel.set_xlabel(f"{kind}{c.parameters[key]}")
    for panel in axes[len(c.parameters) :]:
        panel.set_visible(False)
    handles: dict[str, Any] = {}
    for panel in axes:
        handles |= dict(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    return figure


def draw_pareto(c: Comparison) -> Any:
    """The two metrics that get better at each other's cost most, with their front."""
    pair, free = c.trade_off, explorer(c)
    if pair is None or free is None:
        return None
    x, y = (f"valid.{key}" for key in pair)
    figure, (axes,) = make_figure(WIDTH * 0.6, 4.2)
    front = c.fronts[(c.fronts["x_metric"] == pair[0]) & (c.fronts["y_metric"] == pair[1])]
    axes.plot(
        front["x"], front["y"], color=COLOURS[2], label="no other is better in both", zorder=1
    )
    _points(axes, free, x, y)
    for _, row in front[front["knee"]].iterrows():
        axes.plot(row["x"], row["y"], "D", markersize=11, markerfacecolor="none",
                  color=COLOURS[5], label=f"knee: trial {row['trial']}")  # fmt: skip
    axes.set(xlabel=free["columns"][x]["title"], ylabel=free["columns"][y]["title"])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _points(axes: Any, free: dict[str, Any], x: str, y: str) -> None:
    """The trials as points, the complete ones filled and the references marked."""
    one, other = free["columns"][x], free["columns"][y]
    groups: dict[str, list[tuple[Any, Any]]] = {"not ranked": [], "ranked": []}
    for is_ranked, roles, *point in zip(
        free["ranked"], free["roles"], one["values"], other["values"], strict=True
    ):
        if None in point:
            continue
        name = (mark_of(roles) or "ranked") if is_ranked else "not ranked"
        groups.setdefault(name, []).append((point[0], point[1]))
    looks: dict[str, dict[str, Any]] = {
        "ranked": {"marker": "o", "s": 14, "color": COLOURS[4]},
        "not ranked": {"marker": "o", "s": 14, "facecolors": "none", "edgecolors": "#999999"},
        "default": {"marker": "s", "s": 22, "color": "black"},
        "balanced": {"marker": "^", "s": 26, "color": ROLE_COLOURS["balanced"]},
        "static": {"marker": "D", "s": 18, "color": ROLE_COLOURS["static"]},
        "best": {"marker": "*", "s": 60, "color": ROLE_COLOURS["best"]},
        "knee": {"marker": "*", "s": 60, "color": ROLE_COLOURS["knee"]},
    }
    for name, points in groups.items():
        if points:
            axes.scatter(*zip(*points, strict=True), label=name, zorder=2, **looks[name])
    axes.set_xscale("log" if one["log"] else "linear")
    axes.set_yscale("log" if other["log"] else "linear")
    for axis, column in ((axes.xaxis, one), (axes.yaxis, other)):
        if column["log"]:  # plain numbers, as on the page
            plain_numbers(axis)
    if axes.get_ylabel() == "" and axes.get_subplotspec().is_first_col():
        axes.set_ylabel(other["title"])
