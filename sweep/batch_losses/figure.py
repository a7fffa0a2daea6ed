"""The picture of one run: weighted terms over training batches."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sweep.batch_losses.run import BatchLosses
from sweep.files import replacing

__all__ = ["draw"]

# Okabe and Ito's colours can be told apart with any colour vision; yellow is too pale for a line.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#8C6D31")
_LINES = (
    "-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)), (0, (3, 1, 1, 3)),
)  # fmt: skip

_WINDOW = 50  # the smoothed curve averages about this part of the run
_MAX_POINTS = 6000  # of each term; beyond, bars
_MAX_BARS = 2000  # more cannot be told apart
_MAX_EPOCH_MARKS = 60
_MAX_MARKS = 40  # stages and restarts
_ROWS = 3  # of their labels
_MAX_NONFINITE = 2000


def draw(run: BatchLosses, path: Path) -> None:
    """Draw the terms of a run on a logarithmic axis and write a picture.

    Smoothed curves lie over faint points, which are the batches, or in a long run over faint bars
    from the smallest to the largest of a few batches. Values that are not finite are crosses at the
    upper edge, values of zero or below triangles at the lower one.

    Args:
        run: What to draw.
        path: The file; its suffix says the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_yscale("log")
    span = max(run.curves.last_step - run.curves.first_step, 1)
    window = max(span // _WINDOW // run.curves.bin_width, 5) | 1  # odd: as much on either side
    breaks = [batch for batch, _ in run.marks]
    marked = [_draw_term(axes, run, i, window, breaks) for i in range(len(run.curves.names))]
    axes.set_xlim(run.curves.first_step - 0.02 * span, run.curves.last_step + 0.02 * span)
    axes.set_xlabel("training batch")
    axes.set_ylabel("weighted value (weight × raw value)")
    axes.grid(True, which="major", axis="y", color="0.92", linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _draw_marks(axes, run)
    _draw_legend(figure, axes, run, window * run.curves.bin_width, marked)
    figure.suptitle(_plain(run.title), fontsize=12)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".").lower())


def _draw_term(
    axes: Any, run: BatchLosses, index: int, window: int, breaks: list[int]
) -> tuple[int, int]:
    """Draw one term; returns its numbers of values that are not finite and not above zero."""
    term = run.curves.term(run.curves.names[index])
    colour, line = _style(index)
    starts = np.arange(0, len(term.steps), _group(len(term.steps)))
    low, high = np.fmin.reduceat(term.low, starts), np.fmax.reduceat(term.high, starts)
    if np.array_equal(low, high, equal_nan=True):
        axes.plot(
            term.steps, term.low, linestyle="", marker=".", markersize=3.5, markeredgewidth=0,
            color=colour, alpha=0.3, zorder=2, rasterized=True,
        )  # fmt: skip
    else:
        axes.vlines(
            term.steps[starts], low, high, color=colour, alpha=0.2, linewidth=0.8, zorder=2,
            rasterized=True,
        )  # fmt: skip
    smooth = term.smoothed(window, breaks)
    edges = [0, *np.searchsorted(term.steps, breaks).tolist(), len(term.steps)]
    for start, stop in pairwise(edges):  # not joined where the weights change
        axes.plot(
            term.steps[start:stop], smooth[start:stop], color=colour, linestyle=line,
            linewidth=1.9, zorder=4,
        )  # fmt: skip
    # A row of its own for each term, so that marks of two terms at one batch are both seen.
    row = 0.018 * (index % 16)
    edges_of_axes = ((term.nonfinite, "x", 0.985 - row), (term.zero, "v", 0.012 + row))
    for counts, marker, height in edges_of_axes:
        where = term.steps[counts > 0]
        where = where[:: max(len(where) // _MAX_NONFINITE, 1)]
        if len(where) == 0:  # an empty line would take part in the layout
            continue
        axes.plot(
            where, np.full(len(where), height), linestyle="", marker=marker, markersize=5,
            color=colour, alpha=0.9, zorder=5, transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    return int(term.nonfinite.sum()), int(term.zero.sum())


def _group(n_bins: int) -> int:
    """Bins that are drawn as one."""
    return 1 if n_bins <= _MAX_POINTS else -(-n_bins // _MAX_BARS)


def _draw_marks(axes: Any, run: BatchLosses) -> None:
    """Stages as labelled lines, epochs as short ticks along the upper edge."""
    step = max(-(-len(run.epochs) // _MAX_EPOCH_MARKS), 1)
    transform = axes.get_xaxis_transform()
    starts = np.array([batch for _, batch in run.epochs[::step]])
    axes.plot(
        starts, np.ones(len(starts)), linestyle="", marker="|", markersize=7, color="0.55",
        transform=transform, clip_on=False, zorder=3,
    )  # fmt: skip
    # Labels at round numbers of epochs, at most about twelve.
    every = _round_step(max(len(run.epochs) / 12, 1))
    labelled = [(epoch, batch) for epoch, batch in run.epochs if epoch % every == 0]
    for i, (epoch, batch) in enumerate(labelled):
        axes.annotate(
            str(epoch) if i else f"epoch {epoch}", (batch, 1.0), xycoords=transform,
            xytext=(0, 4), ha="center", textcoords="offset points", fontsize=7.5, color="0.4",
            annotation_clip=False,
        )  # fmt: skip
    first = run.curves.first_step
    span = run.curves.last_step - first + 1
    ends = [-math.inf] * _ROWS  # of the labels in each row
    for batch, name in run.marks[:_MAX_MARKS]:
        row = next((i for i, end in enumerate(ends) if end <= batch), _ROWS - 1)
        ends[row] = batch + span * (0.01 + 0.008 * len(name))  # about its width
        if batch > first:
            axes.axvline(batch - 0.5, color="0.35", linestyle=(0, (4, 3)), linewidth=1.0, zorder=3)
        axes.annotate(
            _plain(name), (max(batch, first), 1.0), xycoords=transform, xytext=(1, 15 + 11 * row),
            textcoords="offset points", fontsize=8.5, color="0.2", annotation_clip=False,
        )  # fmt: skip


def _draw_legend(
    figure: Any, axes: Any, run: BatchLosses, window: int, marked: list[tuple[int, int]]
) -> None:
    """Outside the axes, with what the marks at the edges mean and how many there are."""
    from matplotlib.lines import Line2D

    handles, labels = [], []
    for i, (name, (nonfinite, zero)) in enumerate(zip(run.curves.names, marked, strict=True)):
        colour, line = _style(i)
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=1.9))
        label = _plain(name)
        label += f"\n× {nonfinite} not finite" if nonfinite else ""
        label += f"\n▾ {zero} at zero" if zero else ""
        labels.append(label)
    n_bins = (run.curves.last_step - run.curves.first_step) // run.curves.bin_width + 1
    width = run.curves.bin_width * _group(n_bins)
    points = "points: batches" if width == 1 else f"bars: range of {width} batches"
    figure.legend(
        handles, labels, loc="outside right upper", fontsize=8.5, frameon=False,
        title=f"geometric mean of {window} batches\n{points}", title_fontsize=8.5, handlelength=3.2,
        alignment="left",
    )  # fmt: skip
    if any(nonfinite for nonfinite, _ in marked) or any(zero for _, zero in marked):
        axes.margins(y=0.12)


def _style(index: int) -> tuple[str, Any]:
    """Colour and line of a term; together they differ for 64 terms."""
    return _COLOURS[index % len(_COLOURS)], _LINES[index // len(_COLOURS) % len(_LINES)]


def _round_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, … that is not below."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= least:
                return digit * power
        power *= 10


def _plain(text: str) -> str:
    """Text as it is: matplotlib sets what stands between dollar signs as a formula."""
    return text.replace("$", r"\$")
