"""The heart of a worker: a thread that shows that it lives, and hears when to end at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sweep.study.leases import HEARTBEAT_SECONDS, Lease

__all__ = ["Heart"]

_INTERRUPTED = 130
_LISTEN_SECONDS = 0.5


class Heart:
    """Beats while active.

    Args:
        beat: Called every few seconds.
        must_die: Whether the process shall end at once. Nothing is lost by that: whatever was
            finished is on disk.
    """

    def __init__(self, beat: Callable[[], None], must_die: Callable[[], bool]) -> None:
        self.lease: Lease | None = None
        self._beat = beat
        self._must_die = must_die
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Heart:
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
        while not self._ended.wait(_LISTEN_SECONDS):
            try:
                if self._must_die():
                    os._exit(_INTERRUPTED)
                if time.monotonic() - last >= HEARTBEAT_SECONDS:
                    last = time.monotonic()
                    self._beat()
                    if lease := self.lease:
                        lease.beat()
            except OSError:  # a file system that does not answer; the next time it may
                continue
