"""Learning curves, history of the search and parallel coordinates for a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sweep.report.comparison.comparison import Comparison
from sweep.report.figures.palette import COLOURS, SEQUENTIAL, line_colour
from sweep.report.figures.progress import Panel, learning_panels, parallel_axes, search_panels
from sweep.report.figures.static_points import WIDTH, make_figure, plain_numbers

__all__ = ["draw_learning", "draw_parallel", "draw_search"]


def draw_learning(c: Comparison) -> Any:
    """Loss, score and errors by epoch."""
    looks = {
        name: {"color": line_colour(name), "linewidth": 1.2}
        for panel in learning_panels(c) for name in panel.lines
    }  # fmt: skip
    return _panels(learning_panels(c), "epoch", looks)


def draw_search(c: Comparison) -> Any:
    """What the search minimises, by number of the trial."""
    looks: dict[str, dict[str, Any]] = {
        "ranked": {"marker": "o", "linestyle": "", "markersize": 3.5, "color": COLOURS[4]},
        "not ranked": {"marker": "o", "linestyle": "", "markersize": 3.5, "color": "#999999",
                       "markerfacecolor": "none"},
        "best so far": {"drawstyle": "steps-post", "color": COLOURS[0]},
    }  # fmt: skip
    return _panels(search_panels(c), "trial", looks)


def _panels(panels: Sequence[Panel], below: str, looks: dict[str, dict[str, Any]]) -> Any:
    from matplotlib.ticker import MaxNLocator

    if not panels:
        return None
    n_columns = min(3, len(panels))
    n_rows = math.ceil(len(panels) / 3)
    figure, axes = make_figure(WIDTH, 0.5 + 2.0 * n_rows, n_rows, n_columns)
    handles: dict[str, Any] = {}
    for panel, one in zip(panels, axes, strict=False):
        for name, points in panel.lines.items():
            (line,) = one.plot(points.x, points.y, label=name, **looks[name])
            handles.setdefault(name, line)
        if panel.is_log:
            one.set_yscale("log")
            plain_numbers(one.yaxis)
        one.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        one.set(xlabel=below, ylabel=f"{panel.title} ({panel.unit})" if panel.unit else panel.title)
    for one in axes[len(panels) :]:
        one.set_visible(False)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def draw_parallel(c: Comparison) -> Any:
    """Every ranked trial a line over its searched values and errors; the darker, the better."""
    from matplotlib.colors import LinearSegmentedColormap

    found = parallel_axes(c)
    if found is None:
        return None
    shades = LinearSegmentedColormap.from_list("ours", [colour for _, colour in SEQUENTIAL[1:]])
    figure, (panel,) = make_figure(WIDTH, 3.0)
    for row in reversed(range(len(found.names))):  # the best on top
        shade = shades(1 - row / max(1, len(found.names) - 1))
        panel.plot([one.height(row) for one in found.axes], color=shade, linewidth=1.0)
    behind = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
    for i, one in enumerate(found.axes):
        panel.axvline(i, color="black", linewidth=0.6)
        for value, text in one.ticks:
            panel.text(i, one.position(value), f" {text}", fontsize=6, va="center", bbox=behind)
    titles = [one.title for one in found.axes]
    panel.set_xticks(range(len(titles)), titles, rotation=20, ha="right")
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    return figure
