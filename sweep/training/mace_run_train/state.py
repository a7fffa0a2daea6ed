"""The state of a training between two epochs: all that the next step depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from losses import WeightedLoss
from losses.weighting import Weighting

__all__ = ["Parts"]

_PLAIN = (int, float, bool, str, list, type(None))


@dataclass(frozen=True)
class Parts:
    """The parts of a training of mace that change while it goes on.

    Attributes:
        model: The model.
        optimizer: Its optimiser.
        lr_scheduler: Mace's wrapper of the schedule.
        ema: Averaged parameters, or None.
        swa: Mace's container of stage two, or None.
        generator: Of the order of the batches.
        losses: Our loss in each stage; their weights move with a weighting.
        weighting: What moves them, or None.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any
    ema: Any
    swa: Any
    generator: torch.Generator
    losses: list[WeightedLoss]
    weighting: Weighting | None

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": _plain(self.lr_scheduler.state_dict()),
            "generator": self.generator.get_state(),
            "rng": torch.get_rng_state(),
            "weights": [loss.weights for loss in self.losses],
        }
        if torch.cuda.is_available():
            state["cuda_rng"] = torch.cuda.get_rng_state_all()
        if self.ema is not None:
            state["ema"] = self.ema.state_dict()
        if self.swa is not None:
            state["swa_model"] = self.swa.model.state_dict()
            state["swa_scheduler"] = _plain(self.swa.scheduler.state_dict())
        if self.weighting is not None:
            state["weighting"] = dict(self.weighting.state_dict())
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        self.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["rng"].cpu())
        if "cuda_rng" in state:
            torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda_rng"]])
        for loss, weights in zip(self.losses, state["weights"], strict=True):
            loss.weights.copy_(weights)
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.swa is not None:
            self.swa.model.load_state_dict(state["swa_model"])
            self.swa.scheduler.load_state_dict(state["swa_scheduler"])
        if self.weighting is not None:
            self.weighting.load_state_dict(state["weighting"])


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule's state without the methods that torch puts into it."""
    return {key: value for key, value in state.items() if isinstance(value, _PLAIN)}
