"""What trains a trial: the contract between the study and any training program. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from omegaconf import DictConfig
from rich.console import RenderableType

from sweep.config.stages import Stage
from sweep.records.writer import Result, TrialWriter

__all__ = ["AfterEpoch", "Decision", "EpochReport", "Trainer"]


class Decision(Enum):
    """What the caller wants after an epoch."""

    CONTINUE = "continue"
    PRUNE = "prune"
    STOP = "stop"


@dataclass(frozen=True)
class EpochReport:
    """What the caller sees of an epoch: all of it is on disk already.

    Attributes:
        epoch: The epoch, from 0.
        stage: Its stage.
        score: Score of the validation; of the last one before, where this epoch was not evaluated.
        best_score: The best so far.
        shares: Mean share of every term in the total loss over this epoch's steps.
        metrics: Validation metrics; empty where it was not evaluated.
        seconds: Time that the epoch took; NaN where it was read from the records.
        remark: What the user should know of it now.
    """

    epoch: int
    stage: Stage
    score: float
    best_score: float
    shares: dict[str, float]
    metrics: dict[str, float]
    seconds: float
    remark: str | None = None

    @property
    def is_evaluated(self) -> bool:
        """Whether it was evaluated on the validation set."""
        return bool(self.metrics)


AfterEpoch = Callable[[EpochReport], Decision]
"""Sees every epoch and says how to go on."""


class Trainer(Protocol):
    """Trains trials in their folders, one at a time; a worker has one for all its trials.

    Configurations are checked ones, without the ``hydra`` node, with their stages beside them.
    """

    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """Make sure that every term can be trained; returns a table of what was found.

        Raises:
            InputError: naming every term that cannot be trained, and why.
        """

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """What ``trial.json`` shall tell of the training beside its configuration."""

    def train(
        self, cfg: DictConfig, stages: list[Stage], writer: TrialWriter, after_epoch: AfterEpoch
    ) -> tuple[Result, int]:
        """Train in the writer's folder, going on from what is there.

        Returns:
            The result, and the number of epochs that were trained.

        Raises:
            DamagedRecordError: if what is there cannot be gone on from.
            LeaseLostError: as the writer raised it.
            TrainingError: if a value is not finite, naming epoch, batch and term.
        """
