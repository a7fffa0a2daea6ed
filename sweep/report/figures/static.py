"""The figures for a paper: the page's data drawn by matplotlib, as SVG, PNG or PDF."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from sweep.files import replacing
from sweep.numbers import percent
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.data_files import file_prefix
from sweep.report.figures.data import (
    Bars,
    Grid,
    conflict_grid,
    gradient_bars,
    importance_grid,
    share_grids,
    share_history,
    what_if_bars,
)
from sweep.report.figures.palette import DIVERGING, SEQUENTIAL, term_styles
from sweep.report.figures.static_points import WIDTH, draw_pareto, draw_scatter, make_figure
from sweep.report.figures.static_progress import draw_learning, draw_parallel, draw_search

__all__ = ["draw_figures"]

_STYLE: dict[str, Any] = {
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "mace-loss-sweep",  # the same data give the same file
    "hatch.linewidth": 0.4,
}
_TEXT_ROWS = 45


def draw_figures(comparisons: Sequence[Comparison], folder: Path, formats: Sequence[str]) -> None:
    """Write ``<figure>.<format>`` for every figure that the data allow.

    Args:
        comparisons: The studies.
        folder: Where the files go.
        formats: ``svg``, ``png``, ``pdf``.
    """
    import matplotlib as mpl

    drawers: dict[str, Callable[[Comparison], Any]] = {
        "shares": _shares, "evolution": _evolution, "gradients": lambda c: _bars(gradient_bars(c)),
        "conflicts": _conflicts, "importance": _importance, "scatter": draw_scatter,
        "learning": draw_learning, "search": draw_search, "parallel": draw_parallel,
        "pareto": draw_pareto, "what_if": lambda c: _bars(what_if_bars(c)),
    }  # fmt: skip
    with mpl.rc_context(cast(Any, _STYLE)):
        for i, c in enumerate(comparisons):
            for name, draw in drawers.items():
                figure = draw(c)
                if figure is None:
                    continue
                for form in formats:
                    path = folder / f"{file_prefix(i, len(comparisons))}{name}.{form}"
                    metadata = {"Date": None} if form == "svg" else None
                    with replacing(path) as temporary:
                        figure.savefig(temporary, format=form, dpi=300, metadata=metadata)


def _map(stops: Sequence[tuple[float, str]]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ours", list(stops)).with_extremes(bad="#ececec")


def _heat(axes: Any, grid: Grid, stops: Any, low: float, texts: Any, label: str) -> None:
    """A heat map with numbers in its cells and a colour bar; values run up to 1."""
    values = grid.values.to_numpy()
    image = axes.imshow(values, cmap=_map(stops), vmin=low, vmax=1, aspect="auto")
    axes.set_xticks(range(len(grid.columns)), grid.columns)
    axes.tick_params(axis="x", rotation=30)
    for tick in axes.get_xticklabels():
        tick.set_horizontalalignment("right")
    if len(grid.rows) <= _TEXT_ROWS:
        axes.set_yticks(range(len(grid.rows)), grid.rows)
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.55
                axes.text(column, row, texts(value), ha="center", va="center", fontsize=6,
                          color="white" if dark else "black")  # fmt: skip
    for side in axes.spines.values():
        side.set_visible(False)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.8)


def _shares(c: Comparison) -> Any:
    grids = share_grids(c)
    if not grids:
        return None
    figure, (axes,) = make_figure(WIDTH, min(9.0, 1.4 + 0.17 * len(grids[0].rows)))
    _heat(axes, grids[0], SEQUENTIAL, 0, percent, "share of the loss in the last epoch")
    axes.set_ylabel("trial, best first")
    return figure


def _evolution(c: Comparison) -> Any:
    histories = [found for label in c.chosen if (found := share_history(c, label)) is not None]
    if not histories:
        return None
    n_columns = min(3, len(histories))
    n_rows = math.ceil(len(histories) / 3)
    figure, axes = make_figure(WIDTH, 0.5 + 1.8 * n_rows, n_rows, n_columns, sharey=True)
    styles = term_styles(list(dict.fromkeys([*c.terms, *c.evolution["term"]])))
    handles: dict[str, Any] = {}
    for one, panel in zip(histories, axes, strict=False):
        areas = panel.stackplot(
            one.epochs, *one.shares.values(), colors=[styles[t].colour for t in one.shares]
        )
        for term, area in zip(one.shares, areas, strict=True):
            area.set_hatch(styles[term].pattern * 2)
            handles.setdefault(term, area)
        for epoch in one.stage_starts:
            panel.axvline(epoch, color="black", linewidth=0.8, linestyle=":")
        panel.set(title=one.title, xlabel="epoch", ylim=(0, 1))
        panel.margins(x=0)
    for panel in axes[len(histories) :]:
        panel.set_visible(False)
    for panel in axes[::n_columns]:
        panel.set_ylabel("share of the loss")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _bars(found: Bars | None) -> Any:
    if found is None:
        return None
    figure, (axes,) = make_figure(WIDTH, 1.1 + 0.24 * len(found.bars))
    names = [name for name, _ in found.bars]
    left = np.zeros(len(names))
    for term, style in term_styles(found.terms).items():
        values = np.nan_to_num([shares.get(term, 0.0) for _, shares in found.bars])
        axes.barh(names, values, left=left, color=style.colour, hatch=style.pattern * 2,
                  edgecolor="white", label=term, height=0.75)  # fmt: skip
        left += values
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=found.title)
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _conflicts(c: Comparison) -> Any:
    grids = [found for label in c.chosen if (found := conflict_grid(c, label)) is not None]
    if not grids:
        return None
    n_rows = math.ceil(len(grids) / 2)
    n_terms = max(len(grid.rows) for grid in grids)
    figure, axes = make_figure(WIDTH, (0.9 + 0.25 * n_terms) * n_rows, n_rows, min(2, len(grids)))
    for grid, panel in zip(grids, axes, strict=False):
        _heat(panel, grid, DIVERGING, -1, lambda value: f"{value:.2f}", "cosine")
        panel.set_title(grid.title)
    for panel in axes[len(grids) :]:
        panel.set_visible(False)
    return figure


def _importance(c: Comparison) -> Any:
    grid = importance_grid(c)
    if grid is None:
        return None
    figure, (axes,) = make_figure(WIDTH, 1.3 + 0.28 * len(grid.rows))
    _heat(axes, grid, SEQUENTIAL, 0, percent, "importance")
    return figure
