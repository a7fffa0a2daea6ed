"""The answer of a study as one picture: errors against the default, and the balance of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sweep.files import replacing
from sweep.quantities import QUANTITIES
from sweep.records import State, Study, Trial
from sweep.report.figures.palette import COLOURS, ROLE_COLOURS

__all__ = ["draw_comparison"]

_SMALL_SHARE = 0.05  # a share below this has no room for its number


def draw_comparison(study: Study) -> None:
    """Draw ``comparison.png`` in the study's folder; needs at least the default trial.

    Left: test error of each quantity relative to the default weights (validation error where there
    is no test set). Right: each term's share of the loss in the last epoch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trials = study.references
    if "default" not in trials:
        return
    figure = Figure(figsize=(12, 4.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(7, 4))
    _draw_errors(left, trials)
    _draw_shares(right, trials)
    figure.suptitle(f"{study.name}: {study.states.get(State.COMPLETE, 0)} complete trials")
    with replacing(study.folder / "comparison.png") as temporary:
        figure.savefig(temporary, format="png")


def _draw_errors(axes: Any, trials: dict[str, Trial]) -> None:
    split = "test" if trials["default"].errors("test") else "valid"
    reference = trials["default"].errors(split)
    names = [name for name, value in reference.items() if value]
    positions = np.arange(len(names) + 1)
    width = 0.8 / len(trials)
    for i, (role, trial) in enumerate(trials.items()):
        errors = trial.errors(split)
        ratios = [errors.get(name, np.nan) / reference[name] for name in names]
        ratios.append((trial.score_on(split) or np.nan) / (trials["default"].score_on(split) or 1))
        bars = axes.bar(
            positions + (i - (len(trials) - 1) / 2) * width,
            ratios,
            width * 0.92,
            color=ROLE_COLOURS[role],
            label=f"{role} (trial {trial.number})",
        )
        if role != "default":  # its bars are 1 by definition
            axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=2, rotation=90)
    labels = [
        f"{QUANTITIES[n].title}\n{_rounded(reference[n] * QUANTITIES[n].display_factor)}\n"
        f"{QUANTITIES[n].display_unit}"
        for n in names
    ]
    score = trials["default"].score_on(split)
    labels.append("score" if score is None else f"score\n{score:.3f}")
    axes.set_xticks(positions, labels, fontsize=8)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.margins(y=0.12)
    axes.set_ylabel("error relative to the default weights")
    title = "test" if split == "test" else "validation"
    axes.set_title(f"{title} error; numbers below the axis: default weights", fontsize=10)
    axes.legend(fontsize=8, loc="upper right", ncols=len(trials))
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_shares(axes: Any, trials: dict[str, Trial]) -> None:
    shown = {role: trial.balance for role, trial in trials.items() if trial.balance is not None}
    terms = list(dict.fromkeys(name for b in shown.values() for name in b.shares))
    left = np.zeros(len(shown))
    rows = np.arange(len(shown))
    for i, name in enumerate(terms):
        shares = np.array([b.shares.get(name, 0.0) for b in shown.values()])
        bars = axes.barh(
            rows, shares, left=left, color=COLOURS[i % len(COLOURS)], label=name, height=0.6,
            edgecolor="white",
        )  # fmt: skip
        axes.bar_label(bars, labels=_percent(shares), label_type="center", fontsize=7)
        left += shares
    labels = [f"{role}\n{b.effective_terms:.1f} effective terms" for role, b in shown.items()]
    axes.set_yticks(rows, labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the loss in the last epoch")
    axes.set_title("term balance", fontsize=10)
    if terms:
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.45, -0.18), ncols=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _rounded(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(shares: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{share:.0%}" if share >= _SMALL_SHARE else "" for share in shares]
