"""Messages between a sweep and its workers: files in a folder that all nodes share."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweep.files import read_json, write_json, write_text
from sweep.locks import FileLock
from sweep.study.leases import GRACE_SECONDS, node

__all__ = ["Session", "WorkerStatus"]

_AFTER_EPOCH, _NOW = "after this epoch", "now"
_OVER = ("ended", "failed")
_PREFLIGHT = "preflight.txt"


@dataclass(frozen=True)
class WorkerStatus:
    """The last report of a worker.

    Attributes:
        index: Its number in the session.
        state: ``starting``, ``working``, ``ended`` or ``failed``.
        error: Why it failed, as one line.
        job: Its Slurm job, if it has one.
        is_alive: Whether it is at work. Of a worker on this node the kernel tells; one on another
            node is taken for dead when its heartbeat has stopped for long.
        silent_seconds: Since a heartbeat of it was last seen, by this node's clock.
    """

    index: int
    state: str
    error: str | None
    job: str | None
    is_alive: bool
    silent_seconds: float

    @property
    def is_over(self) -> bool:
        """Whether it reported its end."""
        return self.state in _OVER


class Session:
    """One call of ``python -m sweep -m`` and its workers.

    Args:
        folder: The session's folder.
        detached: Workers go on when the sweep dies, as a Slurm job outlives the login shell.
    """

    def __init__(self, folder: Path, *, detached: bool) -> None:
        self.folder = folder
        self.detached = detached
        self._lock = FileLock(folder / "sweep.lock")
        self._seen: dict[Path, tuple[int, float]] = {}  # last heartbeats, and when they were new

    @classmethod
    def create(cls, study_folder: Path, *, detached: bool) -> Session:
        """Begin a session of this process in the study's folder."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{platform.node()}-{os.getpid()}"
        session = cls(study_folder / "workers" / name, detached=detached)
        session.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        session._lock.acquire()
        return session

    def is_alone(self) -> bool:
        """Whether no other sweep of this node has the study open."""
        others = [path for path in self.folder.parent.iterdir() if path != self.folder]
        return not any(_is_held(path / "sweep.lock") for path in others)

    def end(self) -> None:
        """The sweep has ended."""
        self._lock.release()

    # The sweep writes.

    def request_stop(self, *, now: bool) -> None:
        """Ask all workers to stop after their epoch, or at once."""
        write_text(self.folder / "stop", _NOW if now else _AFTER_EPOCH)

    # A worker reads.

    def stop_requested(self) -> bool:
        """Whether workers shall stop: the sweep says so, or it died and they are not detached."""
        return (self.folder / "stop").exists() or (not self.detached and self._sweep_is_dead())

    def stop_now_requested(self) -> bool:
        """Whether workers shall stop at once."""
        try:
            return (self.folder / "stop").read_text(encoding="utf-8") == _NOW
        except FileNotFoundError:
            return False

    def _sweep_is_dead(self) -> bool:
        return _is_free(self._lock)

    # A worker writes.

    def join(self, index: int) -> None:
        """Begin as a worker of this session, until this process ends."""
        self._worker_lock(index).acquire()  # waits for one that ends while its job is requeued
        self.report(index, "starting")

    def report(self, index: int, state: str, error: str | None = None) -> None:
        """Write the state of a worker."""
        content: dict[str, Any] = {
            "state": state,
            "error": error,
            "node": node(),
            "pid": os.getpid(),
            "job": os.environ.get("SLURM_JOB_ID"),
        }
        write_json(self._status_path(index), content)

    def report_preflight(self, index: int, table: str) -> None:
        """Write what a worker's check of the terms found, for the user to see."""
        write_text(self.worker_folder(index) / _PREFLIGHT, table)

    def beat(self, index: int) -> None:
        """Show that a worker is alive."""
        os.utime(self._status_path(index))

    # The sweep reads.

    def statuses(self) -> list[WorkerStatus]:
        """The last report of each worker that has begun."""
        statuses = []
        for path in sorted(self.folder.glob("*/status.json")):
            index, content = int(path.parent.name), read_json(path)
            silent = self._silent_seconds(path)
            if content["state"] in _OVER:
                is_alive = False
            elif content["node"] == node():
                is_alive = not _is_free(self._worker_lock(index))
            else:
                is_alive = silent < GRACE_SECONDS
            statuses.append(
                WorkerStatus(
                    index, content["state"], content["error"], content["job"], is_alive, silent
                )
            )
        return statuses

    def _silent_seconds(self, path: Path) -> float:
        """How long a file has not been touched, by looking again and again.

        Its time is that of another node's clock, which may be wrong: only that it changes counts.
        """
        beat = path.stat().st_mtime_ns
        last, since = self._seen.get(path, (None, 0.0))
        if beat != last:
            since = time.monotonic()
            self._seen[path] = (beat, since)
        return time.monotonic() - since

    def preflight(self) -> str | None:
        """What a worker's check of the terms found; None if none has made it yet."""
        found = next(self.folder.glob(f"*/{_PREFLIGHT}"), None)
        return None if found is None else found.read_text(encoding="utf-8")

    def worker_folder(self, index: int) -> Path:
        """Where a worker of this session puts its own files."""
        return self.folder / str(index)

    def _status_path(self, index: int) -> Path:
        return self.worker_folder(index) / "status.json"

    def _worker_lock(self, index: int) -> FileLock:
        return FileLock(self.worker_folder(index) / "worker.lock")


def _is_free(lock: FileLock) -> bool:
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return free


def _is_held(path: Path) -> bool:
    """Whether a lock is held; one of another user, who may hold it, counts as held."""
    try:
        if not path.exists():
            return False
        lock = FileLock(path)
        free = lock.acquire(blocking=False)
    except PermissionError:
        return True
    lock.release()
    return not free
