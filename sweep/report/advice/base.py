"""What the rules of advice share."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sweep.numbers import count
from sweep.report.comparison.comparison import Comparison

__all__ = ["LEVELS", "NOTICEABLE", "Advice", "best_trials", "n_best_words", "subject"]

LEVELS = ("answer", "caution", "hint")

NOTICEABLE = 0.02  # relative change of an error below which it counts as equal

_N_BEST = 5


@dataclass(frozen=True)
class Advice:
    """One sentence or two.

    Attributes:
        rule: Name of the rule that speaks.
        level: ``answer`` (what to do), ``caution`` (what limits it), ``hint`` (what else to learn).
        text: The sentence.
    """

    rule: str
    level: str
    text: str


def best_trials(comparison: Comparison) -> pd.DataFrame:
    """Rows of the best trials: five, but at most half of the ranked ones, and at least one."""
    ranked = comparison.ranked
    return ranked.iloc[: max(1, min(_N_BEST, len(ranked) // 2))]


def n_best_words(table: pd.DataFrame) -> str:
    """``the five best trials``, ``the best trial``."""
    if len(table) == 1:
        return "the best trial"
    return f"the {count(len(table), 'best trial')}"


def subject(comparison: Comparison, label: object) -> str:
    """A trial in a sentence, with what is special about it: ``trial 0 (the default weights)``."""
    trial = comparison.trial_of[str(label)]
    name = comparison.source.sentence_name(trial)
    role = trial.role if comparison.source.is_study else None
    if role == "balanced" and trial.weighting != "fixed":
        return f"{name} (weights balanced while it trained)"
    if role in ("default", "balanced", "static"):
        return f"{name} (the {role} weights)"
    return name if role is None else f"{name} (the weights of {role})"
