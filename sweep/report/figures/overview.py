"""The answer of a study as one picture: errors against the default, and the balance of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sweep.files import replacing
from sweep.records import State, Study, Trial
from sweep.report.comparison.measures import all_roles, answer_rows, seeds_of
from sweep.report.confirmation import Confirmation
from sweep.report.figures.palette import ROLE_COLOURS, term_styles
from sweep.report.names import SPLITS

__all__ = ["draw_comparison"]

_SMALL_SHARE = 0.05  # a share below this has no room for its number


def draw_comparison(study: Study, confirmation: Confirmation | None = None) -> None:
    """Draw ``comparison.png`` in the study's folder; needs at least the default trial.

    Left: test error of each quantity relative to the default weights (validation error where there
    is no test set), over all seeds there are. Right: each term's share of the loss in the last
    epoch.

    Args:
        study: The study.
        confirmation: Its trainings with other seeds.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trials = study.references
    if "default" not in trials:
        return
    figure = Figure(figsize=(12, 4.6), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(7, 4))
    _draw_errors(left, trials, confirmation)
    _draw_shares(right, trials)
    figure.suptitle(f"{study.name}: {study.states.get(State.COMPLETE, 0)} complete trials")
    with replacing(study.folder / "comparison.png") as temporary:
        figure.savefig(temporary, format="png")


def _draw_errors(axes: Any, trials: dict[str, Trial], confirmation: Confirmation | None) -> None:
    rows = answer_rows(trials, trials["default"], confirmation)
    split = "test" if any(row.split == "test" for row in rows) else "valid"
    shown = [(row, base) for row in rows if row.split == split
             and (base := row.measures["default"]) is not None and base.value]  # fmt: skip
    positions = np.arange(len(shown))
    names = all_roles(trials)
    width = 0.8 / len(names)
    for i, (role, name) in enumerate(names.items()):
        trial = trials[role]
        measures = [row.measures[role] for row, _ in shown]
        ratios = [np.nan if m is None else 1 + (m.change or 0.0) for m in measures]
        seeds = seeds_of(trial, confirmation)
        spread = [m.deviation / b.value if m is not None and m.deviation is not None else np.nan
                  for m, (_, b) in zip(measures, shown, strict=True)]  # fmt: skip
        bars = axes.bar(
            positions + (i - (len(names) - 1) / 2) * width, ratios, width * 0.92,
            color=ROLE_COLOURS[role], yerr=spread if seeds > 1 else None,
            error_kw={"elinewidth": 1, "ecolor": "#444"},
            label=f"{name} (trial {trial.number}{f', {seeds} seeds' if seeds else ''})",
        )  # fmt: skip
        if trial is not trials["default"]:  # its bars are 1 by definition
            axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=2, rotation=90)
    labels = [f"{row.metric.title}\n{base.number}\n{row.metric.unit}" for row, base in shown]
    axes.set_xticks(positions, labels, fontsize=8)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.margins(y=0.12)
    axes.set_ylabel("error relative to the default weights")
    axes.set_title(f"{SPLITS[split]} error; numbers below the axis: default weights", fontsize=10)
    axes.legend(fontsize=8, loc="upper right", ncols=len(names))
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_shares(axes: Any, trials: dict[str, Trial]) -> None:
    balances = {name: trials[role].balance for role, name in all_roles(trials).items()}
    shown = {name: balance for name, balance in balances.items() if balance is not None}
    terms = list(dict.fromkeys(name for b in shown.values() for name in b.shares))
    left = np.zeros(len(shown))
    rows = np.arange(len(shown))
    for name, style in term_styles(terms).items():
        shares = np.array([b.shares.get(name, 0.0) for b in shown.values()])
        bars = axes.barh(
            rows, shares, left=left, color=style.colour, hatch=style.pattern * 2, label=name,
            height=0.6, edgecolor="white",
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


def _percent(shares: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{share:.0%}" if share >= _SMALL_SHARE else "" for share in shares]
