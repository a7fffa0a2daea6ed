"""Ctrl-C, SIGTERM and a cluster's warning: once to stop after the epoch, twice to stop now."""

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

    SIGUSR2, by which submitit announces the end of a Slurm job's time or its preemption, sets it
    too; submitit's own handler, which puts the job back into the queue, runs afterwards.
    """

    def __init__(self) -> None:
        self.requested = False
        self._warned: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> GracefulStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._stop)
        if callable(signal.getsignal(signal.SIGUSR2)):
            self._previous[signal.SIGUSR2] = signal.signal(signal.SIGUSR2, self._warn)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def pass_on(self) -> None:
        """Let the handler of the warning that arrived, if any, do its work."""
        if self._warned is not None:
            self._previous[signal.SIGUSR2](self._warned, None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print(
            "stopping after this epoch; once more to stop now (the same command resumes)",
            file=sys.stderr,
            flush=True,
        )

    def _warn(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._warned = number
