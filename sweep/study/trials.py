"""Which trial a worker trains next: exactly ``n_trials`` are finished, and none is lost.

A worker holds the lock of the trial that it trains. A trial that Optuna calls RUNNING while nobody
holds its lock was left by a worker that died or was stopped: the next worker continues it, in the
same folder and under the same number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.errors import TrainingError
from sweep.study.storage import FileLock, locked

__all__ = ["Claim", "TrialQueue"]

_POLL_SECONDS = 1.0


@dataclass
class Claim:
    """A trial to train, and the lock that says so."""

    trial: Trial
    lock: FileLock

    def release(self) -> None:
        """Let go of the trial."""
        self.lock.release()


class TrialQueue:
    """Hands out the trials of a study.

    Args:
        study: The study.
        folder: Folder of the study.
        sampler: Makes the sampler of a trial from the trial's number. With one sampler of their own
            each, two workers would draw the same points, and a resumed one would draw others.
        n_trials: Number of trials to finish in total, complete or pruned.
        max_failure_rate: Largest share of failed trials among ``n_trials``.
    """

    def __init__(
        self,
        study: optuna.Study,
        folder: Path,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        *,
        n_trials: int,
        max_failure_rate: float,
    ) -> None:
        self.study = study
        self._sampler = sampler
        self.n_trials = n_trials
        self._locks = folder / "locks"
        self.lock_path = self._locks / "queue.lock"
        self._max_failures = max_failure_rate * n_trials

    def finished(self) -> list[FrozenTrial]:
        """The trials that are complete or pruned."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return self.study.get_trials(deepcopy=False, states=states)

    def standing(self) -> tuple[int, tuple[float, int] | None]:
        """Number of finished trials, and score and number of the best complete one."""
        finished = self.finished()
        scores = [
            (trial.value, trial.number)
            for trial in finished
            if trial.state == TrialState.COMPLETE and trial.value is not None
        ]
        return len(finished), min(scores, default=None)

    def claim(self, stopped: Callable[[], bool]) -> Claim | None:
        """The next trial; waits while others train the last ones.

        Returns:
            None when the study is done or ``stopped`` says so.

        Raises:
            TrainingError: if too many trials failed.
        """
        while not stopped():
            with locked(self.lock_path):
                self._check_failures()
                finished = len(self.finished())
                if finished >= self.n_trials:
                    return None
                running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
                for frozen in running:
                    lock = self._lock(frozen.number)
                    if lock.acquire(blocking=False):
                        self.study.sampler = self._sampler(frozen.number)
                        return Claim(Trial(self.study, frozen._trial_id), lock)
                if finished + len(running) < self.n_trials:
                    number = len(self.study.get_trials(deepcopy=False))
                    self.study.sampler = self._sampler(number)
                    trial = self.study.ask()
                    lock = self._lock(trial.number)
                    lock.acquire()
                    return Claim(trial, lock)
            time.sleep(_POLL_SECONDS)
        return None

    def _lock(self, number: int) -> FileLock:
        return FileLock(self._locks / f"{number:04d}.lock")

    def _check_failures(self) -> None:
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        if len(failed) > self._max_failures:
            last = failed[-1]
            raise TrainingError(
                f"{len(failed)} trials failed, hydra.sweeper.max_failure_rate allows "
                f"{math.floor(self._max_failures)} of {self.n_trials}; trial {last.number}: "
                f"{last.user_attrs.get('reason', 'unknown reason')}"
            )
