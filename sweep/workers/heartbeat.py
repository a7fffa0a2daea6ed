"""A thread that shows that a worker is alive, and ends the process when told to stop at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sweep.study.leases import HEARTBEAT_SECONDS, Lease

__all__ = ["Heartbeat"]

_INTERRUPTED = 130
_CHECK_SECONDS = 0.5


class Heartbeat:
    """Renews the lease of the current trial while active.

    Args:
        beat: Called every few seconds.
        stop_now: Whether the process shall exit at once. Nothing is lost by that: whatever was
            finished is on disk.

    Attributes:
        lease: Of the trial that is being trained; None for none.
    """

    def __init__(
        self,
        beat: Callable[[], None] = lambda: None,
        stop_now: Callable[[], bool] = lambda: False,
    ) -> None:
        self.lease: Lease | None = None
        self._beat = beat
        self._stop_now = stop_now
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = 0.0
        while not self._ended.wait(_CHECK_SECONDS):
            try:
                if self._stop_now():
                    os._exit(_INTERRUPTED)
                if time.monotonic() - last >= HEARTBEAT_SECONDS:
                    last = time.monotonic()
                    self._beat()
                    if lease := self.lease:
                        lease.beat()
            except OSError:  # a file system that does not answer; the next time it may
                continue
