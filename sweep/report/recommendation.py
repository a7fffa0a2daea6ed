"""The weights to take: one answer for the terminal, the page and the files, with what limits it."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.numbers import sentence
from sweep.records import Study, Trial
from sweep.report.confirmation import Confirmation
from sweep.report.confirmation_text import seed_caveat

__all__ = ["Recommendation", "recommend"]


@dataclass(frozen=True)
class Recommendation:
    """A trial whose weights are shown to be taken.

    Attributes:
        trial: The trial.
        name: What its weights are called.
        caveat: What trainings with other seeds say against it, as a sentence; None for nothing.
    """

    trial: Trial
    name: str
    caveat: str | None


def recommend(study: Study, confirmation: Confirmation | None) -> Recommendation | None:
    """The answer of a study; None without one.

    Args:
        study: The study.
        confirmation: Its trainings with other seeds.
    """
    held = None if confirmation is None else confirmation.holding(study)
    trial = held or study.best
    if trial is None:
        return None
    text = None if confirmation is None else seed_caveat(confirmation, trial.number)
    name = "best weights" if study.best_role == "best" else "weights at the knee of the front"
    if held is not None and confirmation is not None:
        name = f"weights that hold at {confirmation.length} times the length"
    elif text is not None and study.best_role == "best":
        name = "best weights of the search"  # and not beyond it
    return Recommendation(trial, name, None if text is None else f"{sentence(text)}.")
