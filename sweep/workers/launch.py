"""Keeps the workers of a study at work, in processes of their own, and waits until it is done.

Whether the study is done is read from the study itself, whatever becomes of its workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from sweep.config.checks import check_config
from sweep.errors import SweepError
from sweep.search.suggestion import describe
from sweep.study.confirmation_queue import describe_training, open_confirmation, training_folder
from sweep.study.queue import TrialQueue
from sweep.study.spec import Plan
from sweep.workers.crew import Crew
from sweep.workers.display import Progress, make_progress
from sweep.workers.monitor import Monitor
from sweep.workers.session import Session
from sweep.workers.signals import GracefulStop

if TYPE_CHECKING:
    from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["Launch"]

_LOOK_SECONDS = 0.5
_GOODBYE_SECONDS = 60.0  # for workers to end once the study is done
_MOST_STARTS = 3  # of workers that all die before a single epoch is done


class Launch:
    """The workers of one call of the sweep.

    Args:
        sweeper: What Hydra runs.
        plan: What the study is.
        arguments: The command line, for the workers.
        session: How they talk.
        n_jobs: Number of workers.
        slots: ``CUDA_VISIBLE_DEVICES`` of each worker, in turn; empty to leave it.
    """

    def __init__(
        self,
        sweeper: StudySweeper,
        plan: Plan,
        arguments: list[str],
        session: Session,
        *,
        n_jobs: int,
        slots: list[str],
    ) -> None:
        self._plan = plan
        self._n_jobs = n_jobs
        self._session = session
        self._crew = Crew(sweeper, plan, arguments, self._session, slots)
        self._n_starts = 0  # since the last epoch
        self._n_epochs = -1
        self._shown_preflight = False

    def run(self, queue: TrialQueue) -> bool:
        """Work on a study until its end; returns False if the user stopped it before.

        Raises:
            SweepError: if too many trials failed, or the workers ended before the study did.
            KeyboardInterrupt: if the user stopped it twice.
        """
        trials = self._plan.folder / "trials"
        try:
            with GracefulStop() as stop:
                done = self._serve(
                    queue,
                    stop,
                    folder=lambda trial: trials / f"{trial.number:04d}",
                    what=lambda trial: describe(trial.user_attrs.get("role"), trial.params),
                )
                if done and self._plan.confirm is not None:
                    done = self._confirm(queue, stop)
                self._part()
        except KeyboardInterrupt:
            self._session.request_stop(now=True)
            raise
        return done

    def _confirm(self, search: TrialQueue, stop: GracefulStop) -> bool:
        def training(trial: FrozenTrial) -> tuple[int, int]:
            return trial.user_attrs["of"], trial.user_attrs["seed"]

        confirm = self._plan.folder / "confirm"
        return self._serve(
            open_confirmation(self._plan, search),
            stop,
            folder=lambda trial: confirm / training_folder(*training(trial)),
            what=lambda trial: describe_training(*training(trial)),
        )

    def _serve(
        self,
        queue: TrialQueue,
        stop: GracefulStop,
        *,
        folder: Callable[[FrozenTrial], Path],
        what: Callable[[FrozenTrial], str],
    ) -> bool:
        """Keep workers at work on a queue and show how it fares, until it is done."""
        progress = make_progress(n_trials=queue.n_trials, standing=queue.standing)
        n_epochs = check_config(self._plan.base)[-1].end + 1
        stopping = False
        self._n_starts, self._n_epochs = 0, -1
        with progress:
            monitor = Monitor(queue, progress, n_epochs, folder=folder, what=what)
            while True:
                monitor.look()
                self._show_preflight(progress)
                if queue.is_done():
                    return True
                if stop.requested and not stopping:
                    self._session.request_stop(now=False)
                    stopping = True
                if not stopping:
                    self._man(queue, progress)
                elif not self._crew.n_left(pending_too=False):
                    return False
                time.sleep(_LOOK_SECONDS)

    def _man(self, queue: TrialQueue, progress: Progress) -> None:
        """Start workers in the beginning, and again those that died.

        Raises:
            SweepError: if none is left and new ones would fare no better.
        """
        n_left = self._crew.n_left(pending_too=True)
        n_missing = self._crew.n_missing() if n_left else self._n_jobs
        if not n_missing or queue.is_done():  # the last ones may have ended just now
            return
        if not n_left:
            self._raise_errors(queue)
        n_epochs = sum(len(trial.intermediate_values) for trial in queue.trials())
        if n_epochs > self._n_epochs:
            self._n_epochs, self._n_starts = n_epochs, 0
        if self._n_starts < _MOST_STARTS:
            self._n_starts += 1
            progress.message(
                f"starting {n_missing} workers; their output is in {self._session.folder.parent}"
            )
            self._crew.start(n_missing)
        elif not n_left:
            raise SweepError(self._describe_end(queue))

    def _part(self) -> None:
        """Send home who comes late, and give the others time to say goodbye."""
        self._session.request_stop(now=False)
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while time.monotonic() < deadline and self._crew.n_left(pending_too=False):
            time.sleep(_LOOK_SECONDS)

    def _show_preflight(self, progress: Progress) -> None:
        if not self._shown_preflight and (table := self._session.preflight()) is not None:
            self._shown_preflight = True
            progress.message(table.rstrip())

    def _raise_errors(self, queue: TrialQueue) -> None:
        queue.check_failures()
        for error in self._crew.errors():
            raise SweepError(error)

    def _describe_end(self, queue: TrialQueue) -> str:
        error = self._crew.error
        reason = "" if error is None else f": {' '.join(str(error).split())[-300:]}"
        return (
            f"the workers ended with {len(queue.finished())} of {queue.n_trials} trials finished"
            f"{reason}; their output is in {self._session.folder.parent}; run again to go on"
        )
