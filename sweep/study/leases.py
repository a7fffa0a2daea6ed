"""Who trains which trial: leases that die with their holder, on one node or on many.

The lease of a trial is a file in the study's folder, which all nodes share; a take-over makes the
next one, numbered, with the one operation that is atomic on every file system: linking a name that
must not exist. Whether a holder lives is told in two ways:

* On its own node by the kernel: it holds a ``flock`` lock on its file, which ends when it ends. A
  trial of a killed worker is free at once, one of a paused worker or a sleeping laptop never.
* From another node, where such locks may not be seen, by a heartbeat: it touches the file every
  :data:`HEARTBEAT_SECONDS`; one that stands still for :data:`GRACE_SECONDS` by the clock of whoever
  looks is taken for dead. Should it come back, it finds the newer lease and drops the trial before
  it writes anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
import uuid
from pathlib import Path

from sweep.errors import LeaseLostError
from sweep.files import read_json

__all__ = ["GRACE_SECONDS", "HEARTBEAT_SECONDS", "Lease", "Leases", "node"]

HEARTBEAT_SECONDS = 5.0
GRACE_SECONDS = 120.0  # long against pauses of a shared file system


class Lease:
    """The right to train a trial."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle: int | None = handle

    def beat(self) -> None:
        """Show that the holder lives."""
        if self._handle is not None:
            os.utime(self._path)

    def check(self) -> None:
        """Make sure that the lease still holds.

        Raises:
            LeaseLostError: if someone else has the trial now.
        """
        if _newest(self._path.parent) != self._path:
            raise LeaseLostError(f"{self._path}: taken over while this worker stood still")

    def release(self) -> None:
        """Let go of the trial."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)  # another node need not wait for the heartbeat to stop
            os.pwrite(self._handle, b"{}", 0)
            os.close(self._handle)
            self._handle = None


class Leases:
    """The leases of a study's trials.

    Args:
        folder: Where they are kept; shared by all nodes.
        grace_seconds: After which another node's holder that stands still is taken for dead.
    """

    def __init__(self, folder: Path, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._folder = folder
        self._grace = grace_seconds
        self._seen: dict[Path, tuple[int, float]] = {}
        self._beating: set[Path] = set()

    def is_held(self, number: int) -> bool:
        """Whether someone who lives trains a trial."""
        folder = self._folder / f"{number:04d}"
        newest = _newest(folder) if folder.exists() else None
        return newest is not None and not self._is_free(newest)

    def is_in_doubt(self, number: int) -> bool:
        """Whether the holder may be dead: on another node, and no heartbeat was seen so far.

        To ask after :meth:`is_held` or :meth:`take`, which look for heartbeats.
        """
        newest = _newest(self._folder / f"{number:04d}")
        return newest in self._seen and newest not in self._beating

    def holder(self, number: int) -> str:
        """Who took the lease of a trial last, in words: a process, and its host if another."""
        newest = _newest(self._folder / f"{number:04d}")
        try:
            content = {} if newest is None else read_json(newest)
        except ValueError:
            content = {}
        if "pid" not in content or "node" not in content:
            return "a process that has just ended"
        where = "" if content["node"] == node() else f" on {content['node'].split(' ')[0]}"
        return f"process {content['pid']}{where}"

    def take(self, number: int) -> Lease | None:
        """Take the lease of a trial; None if its holder lives or someone else was faster."""
        folder = self._folder / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        newest = _newest(folder)
        if newest is not None and not self._is_free(newest):
            return None
        generation = 0 if newest is None else int(newest.name) + 1
        return _create(folder / str(generation))

    def _is_free(self, path: Path) -> bool:
        try:
            content = read_json(path)
        except ValueError:  # never half-written, see _create; whatever it is, nobody holds it
            content = {}
        if not content:
            return True
        handle = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        if content.get("node") == node():
            return True
        beat = path.stat().st_mtime_ns
        last, since = self._seen.get(path, (None, 0.0))
        if beat != last:
            if last is not None:
                self._beating.add(path)
            self._seen[path] = (beat, time.monotonic())
            return False
        return time.monotonic() - since > self._grace


def _newest(folder: Path) -> Path | None:
    generations = [path for path in folder.iterdir() if path.name.isdigit()]
    return max(generations, key=lambda path: int(path.name), default=None)


def _create(path: Path) -> Lease | None:
    """A lease with its content and lock, or none: no one ever sees it without them."""
    draft = path.with_name(f".{uuid.uuid4().hex}")
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, json.dumps({"node": node(), "pid": os.getpid()}).encode())
        os.link(draft, path)
    except BaseException as error:
        os.close(handle)
        if isinstance(error, FileExistsError):
            return None
        raise
    finally:
        draft.unlink()
    return Lease(path, handle)


def node() -> str:
    """This node since it was started: the locks of the time before are gone."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.exists() else ''}"
