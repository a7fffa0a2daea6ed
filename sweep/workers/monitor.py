"""Shows how a study fares whose workers are other processes, by looking at its storage."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from sweep.records.balance import last_epoch_balance
from sweep.search.objectives import SCORE
from sweep.study.queue import TrialQueue
from sweep.workers.display import Progress

__all__ = ["Monitor"]


class Monitor:
    """Tells a display what changed since it looked last.

    Args:
        queue: The trials.
        progress: The display.
        n_epochs: Of a trial.
        folder: Where a trial's records are.
        what: Describes a trial.
    """

    def __init__(
        self,
        queue: TrialQueue,
        progress: Progress,
        n_epochs: int,
        *,
        folder: Callable[[FrozenTrial], Path],
        what: Callable[[FrozenTrial], str],
    ) -> None:
        self._queue = queue
        self._progress = progress
        self._n_epochs = n_epochs
        self._folder = folder
        self._what = what
        self._ended = {trial.number for trial in queue.trials() if trial.state.is_finished()}
        self._epochs: dict[int, int] = {}  # of the trials at work, the last one shown

    def look(self) -> None:
        """Show what is new."""
        for trial in self._queue.trials():
            if trial.number in self._ended:
                continue
            if trial.state == TrialState.RUNNING:
                self._show_epoch(trial)
            elif trial.state.is_finished():
                self._show_end(trial)

    def _show_epoch(self, trial: FrozenTrial) -> None:
        if not trial.intermediate_values:
            return
        number, last = trial.number, max(trial.intermediate_values)
        if number not in self._epochs:
            self._progress.trial_started(number, self._what(trial), self._n_epochs)
            self._epochs[number] = -1
        if last > self._epochs[number]:
            self._epochs[number] = last
            balance = last_epoch_balance(self._folder(trial))
            shares = {} if balance is None else balance.shares
            self._progress.epoch(number, last, trial.intermediate_values[last], shares)

    def _show_end(self, trial: FrozenTrial) -> None:
        self._ended.add(trial.number)
        self._epochs.pop(trial.number, None)
        score = float(trial.user_attrs.get(SCORE, math.nan))
        state = "FAILED" if trial.state == TrialState.FAIL else trial.state.name
        self._progress.trial_ended(trial.number, state, score)
        if "reason" in trial.user_attrs:
            self._progress.message(f"  {trial.user_attrs['reason']}")
