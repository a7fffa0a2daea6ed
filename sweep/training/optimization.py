"""The optimisation of one training: parameters, optimiser, their average and the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch_ema import ExponentialMovingAverage

from losses import WeightedLoss
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage

__all__ = ["Optimization"]


class Optimization:
    """Model, optimiser, averaged parameters and learning-rate schedule of one training.

    Args:
        model: Already holds the initial parameters.
        trainer: The trainer's configuration.
        stage: The first stage.
    """

    def __init__(self, model: torch.nn.Module, trainer: TrainerConfig, stage: Stage) -> None:
        self.model = model
        self._trainer = trainer
        self._options = stage.options
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = _optimizer(model, trainer, stage.lr)
        self.ema = (
            ExponentialMovingAverage(self._parameters, decay=trainer.ema_decay)
            if trainer.ema
            else None
        )
        self.scheduler = self._make_scheduler()

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def enter(self, stage: Stage) -> None:
        """Begin a stage: its learning rate and a fresh schedule; the optimiser goes on."""
        self._options = stage.options
        for group in self.optimizer.param_groups:
            group["lr"] = stage.lr
            group.pop("initial_lr", None)
        self.scheduler = self._make_scheduler()

    def step(
        self, loss: WeightedLoss, ref: Mapping[str, Tensor], *, periodic: bool, stress: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One optimiser step. Never waits for the device.

        Returns:
            The raw value of every term, shape [n_terms], the total loss and the norm of its
            gradient before clipping, both scalars.
        """
        pred = self.model(
            ref, periodic=periodic, compute_stress=stress, training=True, **self._options
        )
        breakdown = loss.breakdown(pred=pred, ref=ref)
        self.optimizer.zero_grad(set_to_none=True)
        breakdown.total.backward()
        limit = self._trainer.clip_grad
        norm = torch.nn.utils.clip_grad_norm_(
            self._parameters, float("inf") if limit is None else limit
        )
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update()
        return breakdown.raw.detach(), breakdown.total.detach(), norm.detach()

    def end_epoch(self, valid_loss: float) -> None:
        """Let the learning-rate schedule see the end of an epoch."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(valid_loss)
        elif self.scheduler is not None:
            self.scheduler.step()

    def averaged(self) -> AbstractContextManager[None]:
        """A block in which the model has the averaged parameters, if there are such."""
        if self.ema is None:
            return nullcontext()
        average: AbstractContextManager[None] = self.ema.average_parameters()
        return average

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; tensors and plain values only."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "scheduler": None if self.scheduler is None else _plain(self.scheduler.state_dict()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])

    def _make_scheduler(
        self,
    ) -> torch.optim.lr_scheduler.ReduceLROnPlateau | torch.optim.lr_scheduler.ExponentialLR | None:
        if self._trainer.scheduler == "ReduceLROnPlateau":
            return torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer,
                factor=self._trainer.lr_factor,
                patience=self._trainer.scheduler_patience,
            )
        if self._trainer.scheduler == "ExponentialLR":
            return torch.optim.lr_scheduler.ExponentialLR(
                self.optimizer, gamma=self._trainer.lr_scheduler_gamma
            )
        return None


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's state without the methods that torch puts into it."""
    kinds = (int, float, bool, str, list, type(None))
    return {key: value for key, value in state.items() if isinstance(value, kinds)}


def _optimizer(model: torch.nn.Module, trainer: TrainerConfig, lr: float) -> torch.optim.Optimizer:
    """Adam or AdamW with weight decay where MACE's own training has it."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        linear = "interactions." in name and name.endswith(("linear.weight", "skip_tp_full.weight"))
        (decayed if linear or "products." in name else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": trainer.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[trainer.optimizer]
    optimizer: torch.optim.Optimizer = kind(groups, lr=lr, amsgrad=trainer.amsgrad)
    return optimizer
