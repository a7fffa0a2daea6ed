"""Which trial a worker trains next: exactly ``n_trials`` are finished, and none is lost.

A worker holds the lease of the trial that it trains. A trial that Optuna calls RUNNING while its
lease is free was left by a worker that died or was stopped: the next worker continues it, in the
same folder and under the same number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.errors import SweepError, TrainingError
from sweep.locks import LEASES, locked
from sweep.study.history import FINISHED, SURPLUS, History, score_of
from sweep.study.leases import Lease, Leases
from sweep.study.storage import EXHAUSTED, GOES_ON_AS

__all__ = ["TrialHandle", "TrialQueue"]

_POLL_SECONDS = 1.0


@dataclass
class TrialHandle:
    """A trial to train, and the lease that says so."""

    trial: Trial
    lease: Lease


class TrialQueue:
    """Hands out the trials of a study.

    Args:
        study: The study.
        folder: Folder of the study.
        sampler: Makes the sampler of a trial from the trial's number. With one sampler of their own
            each, two workers would draw the same points, and a resumed one would draw others.
        n_trials: Number of trials to finish in total, complete or pruned; None: those enqueued.
        max_failure_rate: Largest share of failed trials among ``n_trials``.
    """

    def __init__(
        self,
        study: optuna.Study,
        folder: Path,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        *,
        n_trials: int | None,
        max_failure_rate: float,
    ) -> None:
        self.study = study
        self._sampler = sampler
        self._n_trials = n_trials
        self.lock_path = folder / "locks" / "queue.lock"
        self._leases = Leases(folder / LEASES)
        self._max_failure_rate = max_failure_rate
        self._history = History()

    @property
    def n_trials(self) -> int:
        """Number of trials to finish in total."""
        return self._n_trials if self._n_trials is not None else self._wanted(self.trials())

    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    def finished(self) -> list[FrozenTrial]:
        """The trials that are complete or pruned."""
        return self.study.get_trials(deepcopy=False, states=FINISHED)

    def lease(self, number: int) -> Lease | None:
        """The lease of a trial; None if someone trains it."""
        return self._leases.take(number)

    def is_at_work(self, number: int) -> bool:
        """Whether someone trains a trial."""
        return self._leases.is_held(number)

    def is_done(self) -> bool:
        """Whether nothing is left to do: all trials are finished, or all that there can be."""
        return self._is_done(self.trials(), self._is_exhausted())

    def standing(self) -> tuple[int, tuple[float, int] | None]:
        """Number of finished trials, and score and number of the best complete, feasible one."""
        history = self._update(self.trials())
        scores = [score for trial in history.open if (score := score_of(trial)) is not None]
        best = [*scores] if history.best is None else [*scores, history.best]
        return self._n_finished(history), min(best, default=None)

    def same_before(self, number: int, params: Mapping[str, Any]) -> FrozenTrial | None:
        """An earlier trial with the same parameters that is finished or being trained.

        Args:
            number: Of the trial that has these parameters.
            params: The parameters.
        """
        trials = self.trials()
        history = self._update(trials)
        first = history.first_at(params)
        if first is not None:
            return trials[first] if first < number else None
        for trial in history.open:
            is_same = trial.state in (*FINISHED, TrialState.RUNNING) and trial.params == params
            if trial.number < number and is_same:
                return trial
        return None

    def claim(self, stopped: Callable[[], bool]) -> TrialHandle | None:
        """The next trial; waits while others train the last ones.

        Returns:
            None when the study is done or ``stopped`` says so.

        Raises:
            TrainingError: if too many trials failed.
        """
        while not stopped():
            with locked(self.lock_path):
                # Both are read once: to a database every look is several queries.
                trials, exhausted = self.trials(), self._is_exhausted()
                self._check_failures(trials)
                if self._is_done(trials, exhausted):
                    return None
                if handle := self._take_over(trials) or self._ask(trials, exhausted):
                    return handle
            self.wait(stopped)
        return None

    def wait(self, stopped: Callable[[], bool]) -> bool:
        """Wait a moment; returns whether the user wants to stop."""
        if not stopped():
            time.sleep(_POLL_SECONDS)
        return stopped()

    def check_failures(self) -> None:
        """Make sure that not too many trials failed.

        Raises:
            TrainingError: if so, with the reason of the last.
        """
        self._check_failures(self.trials())

    def _update(self, trials: list[FrozenTrial]) -> History:
        self._history.update(trials)
        return self._history

    def _n_finished(self, history: History) -> int:
        return history.n_finished + sum(trial.state in FINISHED for trial in history.open)

    def _check_failures(self, trials: list[FrozenTrial]) -> None:
        if self._n_trials is None:
            return
        history = self._update(trials)
        more = [
            trial
            for trial in history.open
            if trial.state == TrialState.FAIL and SURPLUS not in trial.user_attrs
        ]
        failed = [*history.failed, *more]
        most = self._max_failure_rate * self._n_trials
        if len(failed) > most:
            last = failed[-1]
            raise TrainingError(
                f"{len(failed)} trials failed, hydra.sweeper.max_failure_rate allows "
                f"{math.floor(most)} of {self._n_trials}; trial {last.number}: "
                f"{last.user_attrs.get('reason', 'unknown reason')}"
            )

    def _wanted(self, trials: list[FrozenTrial]) -> int:
        if self._n_trials is not None:
            return self._n_trials
        return sum(trial.state != TrialState.FAIL for trial in trials)

    def _is_done(self, trials: list[FrozenTrial], exhausted: bool) -> bool:
        history = self._update(trials)
        if self._n_finished(history) >= self._wanted(trials):
            return True
        return exhausted and not any(t.state == TrialState.RUNNING for t in history.open)

    def _take_over(self, trials: list[FrozenTrial]) -> TrialHandle | None:
        """A trial that someone left."""
        for frozen in self._update(trials).open:
            if frozen.state != TrialState.RUNNING:
                continue
            lease = self._leases.take(frozen.number)
            if lease is None:
                continue
            if self.trials()[frozen.number].state != TrialState.RUNNING:
                lease.release()  # its holder finished it after the list was read
                continue
            self.study.sampler = self._sampler(frozen.number)
            trial = Trial(self.study, frozen._trial_id)
            if not self._is_surplus(trial):
                return TrialHandle(trial, lease)
            self._drop(trial, lease)
        return None

    def _ask(self, trials: list[FrozenTrial], exhausted: bool) -> TrialHandle | None:
        """A new trial, if there is room for one."""
        history = self._update(trials)
        n_running = sum(trial.state == TrialState.RUNNING for trial in history.open)
        n_begun = self._n_finished(history) + n_running
        if n_begun >= self._wanted(trials) or exhausted:
            return None
        # An enqueued trial has its number already; for it any sampler will do.
        self.study.sampler = self._sampler(len(trials))
        trial = self.study.ask()
        lease = self._leases.take(trial.number)
        if lease is None:  # another node's worker, who does not see our lock, was faster
            return None
        if self.study._storage.get_trial(trial._trial_id).state.is_finished():  # and has ended it
            lease.release()
            return None
        if not self._is_surplus(trial):
            return TrialHandle(trial, lease)
        self._drop(trial, lease)
        return None

    def _is_surplus(self, trial: Trial) -> bool:
        """Whether it is one too many.

        Workers on several nodes, who may not see each other's lock, can begin too many; so can one
        who asks a database again after it lost the first answer.
        """
        if self._n_trials is None or trial.number < self._n_trials:
            return False
        before = [t for t in self.trials()[: trial.number] if t.state != TrialState.FAIL]
        return len(before) >= self._n_trials

    def _drop(self, trial: Trial, lease: Lease) -> None:
        trial.set_user_attr(SURPLUS, True)
        self.study.tell(trial, state=TrialState.FAIL)
        lease.release()

    def _is_exhausted(self) -> bool:
        attrs = self.study.user_attrs
        if GOES_ON_AS in attrs:
            raise SweepError(
                f"study {self.study.study_name}: goes on under another objective since this "
                "command began; run again to go on with it"
            )
        return bool(attrs.get(EXHAUSTED))
