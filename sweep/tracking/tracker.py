"""The contract between a trial and what shows it: one run of a tracker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.records.state import State

__all__ = ["RunInfo", "Tracker"]


@dataclass(frozen=True)
class RunInfo:
    """What a run is.

    Attributes:
        study: Name of the study, which groups its runs; None for a single training.
        name: Name of the run.
        config: Its searched parameters, role, seed, ….
        folder: Where files of the tracker belong; it is there.
        notes: Where a tracker may note what all runs of the study share.
    """

    study: str | None
    name: str
    config: Mapping[str, Any]
    folder: Path
    notes: Path


class Tracker(ABC):
    """A run of one trial. Whatever a method raises, the training goes on without the tracker.

    Args:
        options: The keys of ``tracking``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    @classmethod
    def refusal(cls, options: Mapping[str, Any]) -> str | None:
        """Why it cannot be used, and what helps; None if nothing is known that stands against it.

        Args:
            options: The keys of ``tracking``.
        """
        return None

    @abstractmethod
    def open(self, info: RunInfo, run_id: str | None, n_epochs: int) -> tuple[str, int]:
        """Begin a run, or go on with one.

        Args:
            info: What the run is.
            run_id: The run to go on with; None for a new one.
            n_epochs: How many epochs it has, as far as is known here.

        Returns:
            The run's id, and how many epochs it has: as it knows itself, where it does.
        """

    @abstractmethod
    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Show an epoch; it is with the tracker when this returns."""

    @abstractmethod
    def close(
        self, state: State, reason: str | None, epoch: int, values: Mapping[str, float]
    ) -> None:
        """End the run.

        Args:
            state: How the training ended.
            reason: Why it failed.
            epoch: The epoch that ``values`` are of.
            values: What is known in the end.
        """
