"""Where a study lives: an Optuna journal in its folder, and the locks beside it.

All locks are ``flock`` locks: the kernel releases them when their holder dies, however it dies, so
a lock that is held means a process that lives.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

__all__ = ["FileLock", "locked", "open_journal"]


class FileLock:
    """An exclusive ``flock`` lock on a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; without ``blocking`` returns False if someone else holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class _JournalLock(FileLock):
    """The lock under which Optuna appends to a journal, first cutting off a torn last line.

    Such a line is left by a crash or a full disk; it would swallow the next record and make the
    journal unreadable from then on.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_suffix(".lock"))
        self._journal = journal

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock and repair the journal."""
        taken = super().acquire(blocking=blocking)
        if taken:
            _repair(self._journal)
        return taken


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at ``path`` for a block."""
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def open_journal(path: Path) -> JournalStorage:
    """Open or create a journal; a line torn by a crash is cut off before the next is written.

    Optuna's own journal locks outlive a killed holder by 30 s; ours do not.
    """
    # The base class of Optuna's locks is private; what it asks for is acquire and release.
    lock: Any = _JournalLock(path)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _repair(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
