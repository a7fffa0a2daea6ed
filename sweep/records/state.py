"""The states of a trial."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["State"]


class State(StrEnum):
    """How far a trial has come; the values are those in ``trial.json``, in the order of tables."""

    COMPLETE = "COMPLETE"
    """Trained to the last epoch."""
    RUNNING = "RUNNING"
    """Being trained, or left by a worker that died."""
    PRUNED = "PRUNED"
    """Ended early because it was worse than others."""
    STOPPED = "STOPPED"
    """Stopped by the user; the same command goes on with it."""
    FAILED = "FAILED"
    """Ended by an error."""

    @property
    def is_finished(self) -> bool:
        """Whether it counts towards the number of trials of a study."""
        return self in (State.COMPLETE, State.PRUNED)
