"""Ctrl-C and SIGTERM: once to stop after the epoch, twice to stop now."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any

__all__ = ["GracefulStop"]


class GracefulStop:
    """While active, the first SIGINT or SIGTERM only sets :attr:`requested`.

    The second raises ``KeyboardInterrupt`` at once. Nothing is lost either way: what an epoch has
    written stays, and the same command goes on from there.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> GracefulStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print(
            "stopping after this epoch; once more to stop now (the same command resumes)",
            file=sys.stderr,
            flush=True,
        )
