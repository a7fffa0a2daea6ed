"""The figures for a paper: the page's data drawn by matplotlib, as SVG, PNG or PDF."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from sweep.files import replacing
from sweep.numbers import percent
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.data_files import file_prefix
from sweep.report.figures.palette import DIVERGING, SEQUENTIAL, term_styles
from sweep.report.figures.paper_points import WIDTH, draw_pareto, draw_scatter, make_figure
from sweep.report.names import metric_of

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
        "shares": _shares, "evolution": _evolution, "gradients": _gradients,
        "conflicts": _conflicts, "importance": _importance, "scatter": draw_scatter,
        "pareto": draw_pareto, "what_if": _what_if,
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


def _heat(
    axes: Any, grid: pd.DataFrame, stops: Any, low: float, high: float, texts: Any, label: str
) -> None:
    """A heat map with numbers in its cells and a colour bar."""
    values = grid.to_numpy(dtype=float)
    image = axes.imshow(values, cmap=_map(stops), vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(grid.columns)), [str(name) for name in grid.columns])
    axes.tick_params(axis="x", rotation=30)
    for tick in axes.get_xticklabels():
        tick.set_horizontalalignment("right")
    if len(grid) <= _TEXT_ROWS:
        axes.set_yticks(range(len(grid)), [str(name) for name in grid.index])
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.55
                axes.text(column, row, texts(value), ha="center", va="center", fontsize=6,
                          color="white" if dark else "black")  # fmt: skip
    for side in axes.spines.values():
        side.set_visible(False)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.8)


def _caption(c: Comparison, label: str) -> str:
    row = c.rows[label]
    state = "" if row["state"] == "COMPLETE" else str(row["state"]).lower()
    return " ".join(word for word in (label, str(row["role"]), state) if word)


def _shares(c: Comparison) -> Any:
    if c.shares.empty:
        return None
    last = c.shares[c.shares["stage"] == c.shares.groupby("trial")["stage"].transform("max")]
    labels = list(dict.fromkeys(last["trial"]))
    grid = last.pivot(index="trial", columns="term", values="share").reindex(
        labels, columns=c.terms
    )
    grid.index = pd.Index([_caption(c, label) for label in labels])
    figure, (axes,) = make_figure(WIDTH, min(9.0, 1.4 + 0.17 * len(labels)))
    _heat(axes, grid, SEQUENTIAL, 0, 1, percent, "share of the loss in the last epoch")
    axes.set_ylabel("trial, best first")
    return figure


def _evolution(c: Comparison) -> Any:
    labels = list(dict.fromkeys(c.evolution["trial"]))
    if not labels:
        return None
    n_rows = math.ceil(len(labels) / 3)
    figure, axes = make_figure(WIDTH, 0.5 + 1.8 * n_rows, n_rows, min(3, len(labels)), sharey=True)
    styles = term_styles(list(dict.fromkeys([*c.terms, *c.evolution["term"]])))
    handles: dict[str, Any] = {}
    for label, panel in zip(labels, axes, strict=False):
        rows = c.evolution[c.evolution["trial"] == label]
        wide = rows.pivot(index="epoch", columns="term", values="share").fillna(0.0)
        terms = [term for term in styles if term in wide]
        areas = panel.stackplot(
            wide.index, *(wide[term] for term in terms), colors=[styles[t].colour for t in terms]
        )
        for term, area in zip(terms, areas, strict=True):
            area.set_hatch(styles[term].pattern * 2)
            handles.setdefault(term, area)
        panel.set(title=_caption(c, label), xlabel="epoch", ylim=(0, 1))
        panel.margins(x=0)
    for panel in axes[len(labels) :]:
        panel.set_visible(False)
    for panel in axes[:: min(3, len(labels))]:
        panel.set_ylabel("share of the loss")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _gradients(c: Comparison) -> Any:
    if c.gradients.empty:
        return None
    last = c.gradients[
        c.gradients["epoch"] == c.gradients.groupby("trial")["epoch"].transform("max")
    ]
    bars: dict[str, dict[str, float]] = {}
    for label in [label for label in c.chosen if label in set(last["trial"])]:
        rows = last[last["trial"] == label]
        balance = c.balance(label)
        if balance is not None:
            bars[f"{_caption(c, label)}, loss"] = balance.shares
        bars[f"{_caption(c, label)}, gradients"] = dict(
            zip(rows["term"], rows["norm_share"], strict=True)
        )
    return _bars(c, bars, "share of the loss, and of the gradient norms")


def _what_if(c: Comparison) -> Any:
    bars = {}
    for one in c.what_if:
        bars[f"{_caption(c, one.trial)}, recorded"] = one.recorded.shares
        bars[f"{_caption(c, one.trial)}, what if"] = one.changed.shares
    return _bars(c, bars, "share of the loss in the last epoch") if bars else None


def _bars(c: Comparison, bars: dict[str, dict[str, float]], title: str) -> Any:
    figure, (axes,) = make_figure(WIDTH, 1.1 + 0.24 * len(bars))
    left = np.zeros(len(bars))
    for term, style in term_styles(c.terms).items():
        values = np.nan_to_num([shares.get(term, 0.0) for shares in bars.values()])
        axes.barh(list(bars), values, left=left, color=style.colour, hatch=style.pattern * 2,
                  edgecolor="white", label=term, height=0.75)  # fmt: skip
        left += values
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=title)
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _conflicts(c: Comparison) -> Any:
    labels = list(dict.fromkeys(c.conflicts["trial"]))
    if not labels:
        return None
    n_rows = math.ceil(len(labels) / 2)
    n_terms = c.conflicts["term"].nunique()
    figure, axes = make_figure(WIDTH, (0.9 + 0.25 * n_terms) * n_rows, n_rows, min(2, len(labels)))
    for label, panel in zip(labels, axes, strict=False):
        rows = c.conflicts[c.conflicts["trial"] == label]
        terms = list(dict.fromkeys(rows["term"]))
        grid = rows.pivot(index="term", columns="other", values="cosine").reindex(
            terms, columns=terms
        )
        _heat(panel, grid, DIVERGING, -1, 1, lambda value: f"{value:.2f}", "cosine")
        panel.set_title(f"{_caption(c, label)}, epoch {int(rows['epoch'].iloc[0])}")
    for panel in axes[len(labels) :]:
        panel.set_visible(False)
    return figure


def _importance(c: Comparison) -> Any:
    if c.importances.empty:
        return None
    keys = list(dict.fromkeys(c.importances["parameter"]))
    metrics = list(dict.fromkeys(c.importances["metric"]))
    grid = c.importances.pivot(index="parameter", columns="metric", values="importance").reindex(
        keys, columns=metrics
    )
    grid.index = pd.Index([c.parameters[key] for key in keys])
    grid.columns = pd.Index([metric_of(key).title for key in metrics])
    figure, (axes,) = make_figure(WIDTH, 1.3 + 0.28 * len(keys))
    _heat(axes, grid, SEQUENTIAL, 0, 1, percent, "importance")
    return figure
