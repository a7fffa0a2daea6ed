"""The workers of a sweep that a Hydra launcher starts: who lives, who is missing.

The launcher only starts them. Who is at work is read from the session's folder: a launcher may
return when a single worker was killed while the others go on, or wait for a job that is gone.
"""

from __future__ import annotations

import copy
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins

from sweep.study.leases import GRACE_SECONDS
from sweep.study.spec import Plan
from sweep.workers.session import Session, WorkerStatus
from sweep.workers.work import Work

if TYPE_CHECKING:
    from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["Crew"]

_ASK_SECONDS = 10.0  # between two questions to the cluster's queue about one job


@dataclass
class _Call:
    """A call of the launcher, which starts some workers and waits for them."""

    size: int
    thread: threading.Thread
    began: float


class Crew:
    """The workers of one sweep.

    Args:
        sweeper: What Hydra runs.
        plan: What the study is.
        arguments: The command line, for the workers.
        session: How they talk.
        slots: ``CUDA_VISIBLE_DEVICES`` of each worker, in turn; empty to leave it.

    Attributes:
        error: What the launcher raised last, for instance because a worker was killed.
    """

    def __init__(
        self,
        sweeper: StudySweeper,
        plan: Plan,
        arguments: list[str],
        session: Session,
        slots: list[str],
    ) -> None:
        self._sweeper = sweeper
        self._fixed = plan.space.fixed
        self._subdir = session.folder.relative_to(plan.folder)
        self._session = session
        kind = str(sweeper.config.hydra.launcher._target_).rpartition(".")[2]
        # Through submitit every worker of this machine is a call of its own, so that one that dies
        # can be replaced. Joblib ends all of them then, a cluster starts again what it preempted.
        self._singly = kind == "LocalLauncher"
        self._joblib = kind == "JoblibLauncher"
        self._work = Work(
            sweeper, arguments, session.folder, session.detached, slots, redirect=self._joblib
        )
        self._calls: list[_Call] = []  # for every worker that was started, its call
        self._replaced: set[int] = set()
        self._asked: dict[str, tuple[float, bool | None]] = {}
        self.error: Exception | None = None

    def start(self, n_workers: int) -> None:
        """Start workers: new ones, or in place of those that died."""
        self._replaced |= set(self._dead())
        size = 1 if self._singly else n_workers
        for _ in range(n_workers // size):
            self._call_launcher(size)

    def n_left(self, *, pending_too: bool) -> int:
        """How many workers are at work or, with ``pending_too``, still to begin."""
        statuses = self._statuses()
        return sum(
            self._is_left(index, statuses.get(index), pending_too)
            for index in range(len(self._calls))
        )

    def n_missing(self) -> int:
        """How many workers died without a goodbye and can be replaced while others work."""
        return len(self._dead()) if self._singly else 0

    def errors(self) -> list[str]:
        """What workers failed of."""
        return [status.error for status in self._session.statuses() if status.error is not None]

    def _dead(self) -> list[int]:
        """The workers that neither live nor said goodbye, and were not replaced yet."""
        statuses = self._statuses()
        found = []
        for index in set(range(len(self._calls))) - self._replaced:
            status = statuses.get(index)
            over = status is not None and status.is_over
            if not over and not self._is_left(index, status, True):
                found.append(index)
        return found

    def _statuses(self) -> dict[int, WorkerStatus]:
        return {status.index: status for status in self._session.statuses()}

    def _is_left(self, index: int, status: WorkerStatus | None, pending_too: bool) -> bool:
        if status is not None and status.is_alive:
            return True
        call = self._calls[index]
        waits = call.thread.is_alive()
        if not pending_too:
            return False
        if status is None:
            # A launcher that gave up on one of several workers says nothing about the others.
            return waits or (call.size > 1 and time.monotonic() - call.began < GRACE_SECONDS)
        if not (waits and self._session.detached):
            return False
        queued = None if status.job is None else self._is_queued(status.job)
        return status.silent_seconds < GRACE_SECONDS if queued is None else queued

    def _is_queued(self, job: str) -> bool | None:
        """Whether Slurm runs a job, or will do so again; None if it does not say."""
        asked, answer = self._asked.get(job, (-_ASK_SECONDS, None))
        if time.monotonic() - asked >= _ASK_SECONDS:
            answer = _ask_slurm(job)
            self._asked[job] = (time.monotonic(), answer)
        return answer

    def _call_launcher(self, size: int) -> None:
        first = len(self._calls)
        overrides = [
            [*self._fixed, f"hydra.sweep.subdir='{self._subdir}/{first + index}'"]
            for index in range(size)
        ]
        config = copy.deepcopy(self._sweeper.config)
        if self._joblib:
            # All at the same time. With one it would train in this process.
            config.hydra.launcher.n_jobs = max(2, size)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self._sweeper.hydra_context, task_function=self._work, config=config
        )

        def launch() -> None:
            # Ctrl-C in a terminal goes to all processes; workers shall end after their epoch.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                launcher.launch(overrides, initial_job_idx=first)
            except Exception as error:  # a killed worker among others; see the module's docstring
                self.error = error

        thread = threading.Thread(target=launch, name="launcher", daemon=True)
        self._calls += size * [_Call(size, thread, time.monotonic())]
        thread.start()


def _ask_slurm(job: str) -> bool | None:
    try:
        done = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return bool(done.stdout.strip())
    return False if "Invalid job id" in done.stderr else None
