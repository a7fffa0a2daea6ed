"""What follows from the trials of a study that have ended, kept up to date as they end.

With thousands of trials, to look at all of them anew for every question takes longer than most
other things that a trial costs beside its training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweep.search.objectives import SCORE

__all__ = ["FEASIBLE", "FINISHED", "SURPLUS", "History", "score_of"]

FEASIBLE = "feasible"  # user attribute: False for a trial that breaks a constraint
SURPLUS = "surplus"  # user attribute of a trial that was one too many
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

Point = tuple[tuple[str, Any], ...]


class History:
    """The trials of a study, of which those that have ended never change.

    Attributes:
        open: The trials that are not part of the history yet, in the order of their numbers: from
            the first one on that has not ended.
        n_finished: How many trials of the history are complete or pruned.
        failed: The trials of the history that failed, but those that were one too many.
        best: Score and number of the best complete, feasible trial of the history.
    """

    def __init__(self) -> None:
        self.open: Sequence[FrozenTrial] = ()
        self.n_finished = 0
        self.failed: list[FrozenTrial] = []
        self.best: tuple[float, int] | None = None
        self._length = 0
        self._first: dict[Point, int] = {}  # for every point, its first finished trial

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in what has ended.

        Args:
            trials: All trials of the study, in the order of their numbers.
        """
        end = self._length
        while end < len(trials) and trials[end].state.is_finished():
            self._add(trials[end])
            end += 1
        self._length = end
        self.open = trials[end:]

    def first_at(self, params: Mapping[str, Any]) -> int | None:
        """Number of the first finished trial of the history with these parameters."""
        return self._first.get(_point(params))

    def _add(self, trial: FrozenTrial) -> None:
        if trial.state in FINISHED:
            self.n_finished += 1
            self._first.setdefault(_point(trial.params), trial.number)
            if (score := score_of(trial)) is not None:
                self.best = min(self.best or score, score)
        elif SURPLUS not in trial.user_attrs:
            self.failed.append(trial)


def score_of(trial: FrozenTrial) -> tuple[float, int] | None:
    """Score and number of a trial that can be the best: complete and feasible."""
    attrs = trial.user_attrs
    if trial.state != TrialState.COMPLETE or SCORE not in attrs or not attrs.get(FEASIBLE, True):
        return None
    return float(attrs[SCORE]), trial.number


def _point(params: Mapping[str, Any]) -> Point:
    return tuple(sorted(params.items()))
