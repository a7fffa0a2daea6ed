"""Runs a study with as many workers as asked for: one in this process, or processes of a launcher.

Whether the study is done is read from the study itself, whatever becomes of its workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sweep.data.dataset import DataSet
from sweep.errors import InputError, SweepError
from sweep.study.confirmation import confirmation_phase
from sweep.study.lost import can_go_on, lost_trials
from sweep.study.phase import Phase, search_phase
from sweep.study.progress import Progress
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec
from sweep.workers.display import make_progress
from sweep.workers.launchers import LauncherKind
from sweep.workers.monitor import Monitor
from sweep.workers.process import WorkerProcess
from sweep.workers.processes import Launch, NotStartedError, WorkerProcesses
from sweep.workers.resources import default_n_jobs, gpu_slots
from sweep.workers.session import Session
from sweep.workers.signals import GracefulStop

__all__ = ["WorkerPool"]

_LOOK_SECONDS = 0.5
_EXIT_SECONDS = 60.0  # for workers to exit once the study is done
_MOST_STARTS = 3  # of workers that all die before a single epoch is done


class WorkerPool:
    """The workers that a configuration asks for.

    Args:
        spec: The study.
        kind: Where the launcher's workers run.
        launcher_of: Gives the function that starts processes which run a worker.
        n_jobs: Number of workers; None for as many as there are cores or GPUs.
        workers_per_gpu: How many workers share a GPU.
        annotate: Called with a trial before Optuna is told of it; None for nothing.

    Attributes:
        detached: They outlive this process, as the jobs of a cluster do.

    Raises:
        InputError: if there is no such GPU, or the number of workers must be given.
    """

    def __init__(
        self,
        spec: StudySpec,
        kind: LauncherKind,
        launcher_of: Callable[[WorkerProcess], Launch],
        *,
        n_jobs: int | None,
        workers_per_gpu: int,
        annotate: Callable[..., None] | None = None,
    ) -> None:
        self._spec = spec
        self._kind = kind
        self._launcher_of = launcher_of
        self._annotate = annotate
        self.detached = kind is LauncherKind.CLUSTER
        trainer = spec.base.trainer
        self._slots: list[str] = []
        if trainer.device.startswith("cuda") and not self.detached:
            self._slots = gpu_slots(trainer.device, workers_per_gpu)
        if n_jobs is None and self.detached:
            raise InputError(
                "hydra.sweeper.n_jobs: say how many workers the cluster shall start, for example 8"
            )
        if n_jobs is None and kind is LauncherKind.LOCAL:
            n_jobs = len(self._slots) or default_n_jobs(trainer.num_threads)
        self._n_jobs = n_jobs or 1

    def run(self, queue: TrialQueue, dataset: DataSet | None, session: Session) -> bool:
        """Work until the study is done; returns False if the user stopped it before.

        Args:
            queue: The study's trials.
            dataset: The data, if they were read already.
            session: How the workers talk to this process.

        Raises:
            SweepError: if too many trials failed, nothing can be written, or the workers ended
                before the study did.
            KeyboardInterrupt: if the user stopped it twice.
        """
        left = queue.n_trials - len(queue.finished())
        if (confirm := self._spec.confirm) is not None:
            left = max(left, (confirm.top + 3) * confirm.seeds)
        if queue.is_done() and not self._lost(search_phase(self._spec, queue)):
            confirmation = confirmation_phase(self._spec, queue)
            if confirmation is None or (
                confirmation.queue.is_done() and not self._lost(confirmation)
            ):
                return True
        n_jobs = max(1, min(self._n_jobs, left))
        if self._kind is LauncherKind.IN_PROCESS or (n_jobs == 1 and not self.detached):
            return self._work_here(queue, dataset)
        task = WorkerProcess(self._spec, session.folder, self.detached, self._slots, self._annotate)
        processes = WorkerProcesses(
            self._launcher_of(task), session, singly=self._kind is LauncherKind.LOCAL
        )
        return _Supervisor(self._spec, processes, session, n_jobs).run(queue)

    def _lost(self, phase: Phase) -> bool:
        """Whether there are finished trials to finish again."""
        folder = self._spec.folder
        return any(
            can_go_on(folder / training.subdir) for _, training in lost_trials(phase, folder)
        )

    def _work_here(self, queue: TrialQueue, dataset: DataSet | None) -> bool:
        from sweep.console import make_console
        from sweep.training.factory import make_trainer
        from sweep.workers.heartbeat import Heartbeat
        from sweep.workers.worker import Worker

        console = make_console()
        if self._n_jobs > 1 and self._kind is LauncherKind.IN_PROCESS:
            console.print("hydra/launcher=basic runs in this process: 1 worker", highlight=False)
        console.print("building graphs and model", highlight=False)
        stop, heartbeat = GracefulStop(), Heartbeat()
        worker = Worker(
            self._spec,
            queue,
            make_trainer(self._spec.base, dataset),
            progress_of=lambda phase: make_progress(
                n_trials=phase.queue.n_trials,
                standing=phase.queue.standing,
                has_limits=phase.has_limits,
            ),
            heartbeat=heartbeat,
            stopped=lambda: stop.requested,
            annotate=self._annotate,
        )
        console.print(worker.prepare())
        with stop, heartbeat:
            return worker.run()


class _Supervisor:
    """Keeps worker processes at work and shows how the study fares.

    Args:
        spec: The study.
        processes: The workers.
        session: How they talk to the sweep.
        n_jobs: Number of workers.
    """

    def __init__(
        self, spec: StudySpec, processes: WorkerProcesses, session: Session, n_jobs: int
    ) -> None:
        self._spec = spec
        self._processes = processes
        self._session = session
        self._n_jobs = n_jobs
        self._n_starts = 0  # since the last epoch
        self._n_epochs = -1
        self._shown_preflight = False

    def run(self, queue: TrialQueue) -> bool:
        """Work on a study until its end; returns False if the user stopped it before."""
        try:
            with GracefulStop() as stop:
                done = self._work_on(search_phase(self._spec, queue), stop)
                if done:
                    confirmation = confirmation_phase(self._spec, queue)
                    done = confirmation is None or self._work_on(confirmation, stop)
                self._wait_for_exits()
        except KeyboardInterrupt:
            self._session.request_stop(now=True)
            raise
        return done

    def _work_on(self, phase: Phase, stop: GracefulStop) -> bool:
        """Keep workers at work on a phase until it is done."""
        queue = phase.queue
        progress = make_progress(
            n_trials=queue.n_trials, standing=queue.standing, has_limits=phase.has_limits
        )
        stopping = False
        self._n_starts, self._n_epochs = 0, -1
        with progress:
            monitor = Monitor(self._spec, phase, progress)
            while True:
                monitor.look()
                self._show_preflight(progress)
                if queue.is_done():
                    return True
                if stop.requested and not stopping:
                    self._session.request_stop(now=False)
                    stopping = True
                if not stopping:
                    self._start_missing(queue, progress)
                elif not self._processes.n_left(pending_too=False):
                    return False
                time.sleep(_LOOK_SECONDS)

    def _start_missing(self, queue: TrialQueue, progress: Progress) -> None:
        """Start workers in the beginning, and again those that died.

        Raises:
            SweepError: if none is left and new ones would fare no better.
        """
        n_left = self._processes.n_left(pending_too=True)
        n_missing = self._processes.n_missing() if n_left else self._n_jobs
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
            self._processes.start(n_missing)
        elif not n_left:
            raise SweepError(self._describe_end(queue))

    def _wait_for_exits(self) -> None:
        """Stop workers that start late; wait for the others to exit."""
        self._session.request_stop(now=False)
        deadline = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < deadline and self._processes.n_left(pending_too=False):
            time.sleep(_LOOK_SECONDS)

    def _show_preflight(self, progress: Progress) -> None:
        if not self._shown_preflight and (table := self._session.preflight()) is not None:
            self._shown_preflight = True
            progress.message(table.rstrip())

    def _raise_errors(self, queue: TrialQueue) -> None:
        queue.check_failures()
        if isinstance(self._processes.error, NotStartedError):
            raise self._processes.error
        for error in self._processes.errors():
            raise SweepError(error)

    def _describe_end(self, queue: TrialQueue) -> str:
        error = self._processes.error
        reason = "" if error is None else f": {' '.join(str(error).split())[-300:]}"
        return (
            f"the workers ended with {len(queue.finished())} of {queue.n_trials} trials finished"
            f"{reason}; their output is in {self._session.folder.parent}; run again to go on"
        )
