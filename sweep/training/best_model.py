"""The parameters of a trial's best epoch, ``best.pt``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sweep.errors import DamagedRecordError
from sweep.records.trial_file import BEST_MODEL
from sweep.records.writer import TrialWriter
from sweep.training import checkpoint

__all__ = ["BestModel"]


class BestModel:
    """Keeps them.

    Args:
        writer: Writes into the trial's folder.
        model: The model, whose parameters of the moment are kept.
    """

    def __init__(self, writer: TrialWriter, model: torch.nn.Module) -> None:
        self._writer = writer
        self._model = model
        self._path = writer.folder / BEST_MODEL

    def save(self, epoch: int, metrics: Mapping[str, float], avg_num_neighbors: float) -> None:
        """Keep the parameters, in place of those that were kept before.

        Args:
            epoch: Their epoch.
            metrics: Its validation metrics.
            avg_num_neighbors: What the model divides its messages by.

        Raises:
            LeaseLostError: as the writer raised it.
        """
        content = {
            "model": self._model.state_dict(),
            "epoch": epoch,
            "metrics": metrics,
            "avg_num_neighbors": avg_num_neighbors,
        }
        checkpoint.save(self._path, content, check=self._writer.may_write)

    def load(self, device: torch.device, *epochs: int) -> dict[str, Any]:
        """The parameters.

        Args:
            device: Where they shall be.
            *epochs: Epochs that they may be of, the expected one first.

        Raises:
            DamagedRecordError: if the file is missing or holds anything else.
        """
        best = checkpoint.load(self._path, device)
        if best is None:
            raise DamagedRecordError(f"{self._path}: missing")
        with checkpoint.restoring(self._path):
            if best["epoch"] not in epochs:
                raise ValueError(f"of epoch {best['epoch']}, expected {epochs[0]}")
            own, found = self._model.state_dict(), dict(best["model"])
            if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in found.items()}:
                raise ValueError("of another model")
        return found
