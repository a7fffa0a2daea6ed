"""The worker processes of one sweep: which are alive, which are missing.

A launcher only starts them. Who is at work is read from the session's folder: a launcher may return
when a single worker was killed while the others go on, or wait for a job that is gone.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sweep.errors import SweepError
from sweep.study.leases import GRACE_SECONDS
from sweep.workers.session import Session, WorkerStatus

__all__ = ["Launch", "NotStartedError", "WorkerProcesses"]

_ASK_SECONDS = 10.0  # between two questions to the cluster's queue about one job


class NotStartedError(SweepError):
    """A launcher could start no worker at all, as where ``sbatch`` refuses the job."""


Launch = Callable[[int, int], None]
"""Starts so many workers, numbered from the second argument on, and waits until they have ended."""


@dataclass
class _Call:
    """A call of the launcher, which starts some workers and waits for them."""

    size: int
    thread: threading.Thread
    began: float
    failed: bool = False  # it started nothing


class WorkerProcesses:
    """The worker processes of one sweep.

    Args:
        launch: Starts them.
        session: How they talk to the sweep.
        singly: Whether each worker is a call of the launcher of its own, so that one that dies can
            be replaced while others work.

    Attributes:
        error: What the launcher raised last, for instance because a worker was killed.
    """

    def __init__(self, launch: Launch, session: Session, *, singly: bool) -> None:
        self._launch = launch
        self._session = session
        self._singly = singly
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
        """How many workers died without reporting it and can be replaced while others work."""
        return len(self._dead()) if self._singly else 0

    def errors(self) -> list[str]:
        """The errors that workers reported."""
        return [status.error for status in self._session.statuses() if status.error is not None]

    def _dead(self) -> list[int]:
        """The workers that are not alive, did not report their end, and were not replaced yet."""
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
        if not pending_too or call.failed:
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

        def launch() -> None:
            # Ctrl-C in a terminal goes to all processes; workers stop after their epoch instead.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self._launch(size, first)
            except NotStartedError as error:
                self.error, call.failed = error, True
            except Exception as error:  # a killed worker among others; see the module's docstring
                self.error = error

        thread = threading.Thread(target=launch, name="launcher", daemon=True)
        call = _Call(size, thread, time.monotonic())
        self._calls += size * [call]
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
