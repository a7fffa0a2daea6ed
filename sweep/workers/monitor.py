"""Shows how a study fares whose workers are other processes, by looking at its storage."""

from __future__ import annotations

import math

from optuna.trial import FrozenTrial, TrialState

from sweep.records.balance import last_epoch_balance
from sweep.records.state import State
from sweep.search.objectives import SCORE
from sweep.study.phase import Phase
from sweep.study.progress import Progress
from sweep.study.spec import StudySpec

__all__ = ["Monitor"]


class Monitor:
    """Tells a display what changed since it looked last.

    Args:
        spec: The study.
        phase: What of it is worked on.
        progress: The display.
    """

    def __init__(self, spec: StudySpec, phase: Phase, progress: Progress) -> None:
        self._spec = spec
        self._phase = phase
        self._progress = progress
        # The storage holds what pruners compare: see TrialRunner._train.
        self._tells_best = spec.base.objective.epoch == "best"
        self._ended = {trial.number for trial in phase.queue.trials() if trial.state.is_finished()}
        self._epochs: dict[int, int] = {}  # of the trials at work, the last one shown

    def look(self) -> None:
        """Show what is new."""
        for trial in self._phase.queue.trials():
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
        training = self._phase.training_of(trial)
        if number not in self._epochs:
            n_epochs = self._spec.n_epochs * trial.user_attrs.get("length", 1)  # of a confirmation
            self._progress.trial_started(number, training.what, n_epochs)
            self._epochs[number] = -1
        if last > self._epochs[number]:
            self._epochs[number] = last
            balance = last_epoch_balance(self._spec.folder / training.subdir)
            shares = {} if balance is None else balance.shares
            self._progress.epoch(
                number, last, trial.intermediate_values[last], shares, is_best=self._tells_best
            )

    def _show_end(self, trial: FrozenTrial) -> None:
        self._ended.add(trial.number)
        self._epochs.pop(trial.number, None)
        score = float(trial.user_attrs.get(SCORE, math.nan))
        state = State.FAILED if trial.state == TrialState.FAIL else State(trial.state.name)
        self._progress.trial_ended(trial.number, state, score)
        if "reason" in trial.user_attrs:
            self._progress.message(f"  {trial.user_attrs['reason']}")
