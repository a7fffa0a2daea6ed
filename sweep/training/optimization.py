"""The optimisation of one training: parameters, optimiser, their average and the schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_ema import ExponentialMovingAverage

from losses import WeightedLoss
from losses.weighting import Shares, Weighting
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage
from sweep.training.clipping import Clipping

__all__ = ["Optimization", "Step"]


class Step(NamedTuple):
    """What a step leaves behind, detached, on the device.

    Attributes:
        raw: Raw value of every term, shape [n_terms].
        weights: The weights that acted, shape [n_terms].
        total: The total loss, a scalar.
        norm: Norm of its gradient before clipping, a scalar.
        limit: The norm that it was clipped at, a scalar; infinite without clipping.
    """

    raw: Tensor
    weights: Tensor
    total: Tensor
    norm: Tensor
    limit: Tensor


class Optimization:
    """Model, optimiser, averaged parameters and learning-rate schedule of one training.

    Args:
        model: Already holds the initial parameters.
        trainer: The trainer's configuration.
        stage: The first stage.
        weighting: Weights that follow the training; None for those of the loss.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        trainer: TrainerConfig,
        stage: Stage,
        weighting: Weighting | None = None,
    ) -> None:
        self.model = model
        self.weighting = weighting
        self._trainer = trainer
        self._shares = dict(weighting.shares) if isinstance(weighting, Shares) else {}
        self._begin(stage)
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._clip = Clipping(
            self._parameters, limit=trainer.clip_grad, relative=trainer.clip_median
        )
        self.optimizer = _optimizer(model, trainer, stage.lr)
        self._set_training(True)
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
        self._begin(stage)
        for group in self.optimizer.param_groups:
            group["lr"] = stage.lr
            group.pop("initial_lr", None)
        self.scheduler = self._make_scheduler()

    def _begin(self, stage: Stage) -> None:
        self._options = stage.options
        if isinstance(self.weighting, Shares):
            self.weighting.set_shares({**self._shares, **(stage.shares or {})})

    def step(
        self, loss: WeightedLoss, ref: Mapping[str, Tensor], *, periodic: bool, stress: bool
    ) -> Step:
        """One optimiser step. Never waits for the device."""
        pred = self.model(
            ref, periodic=periodic, compute_stress=stress, training=True, **self._options
        )
        self.optimizer.zero_grad(set_to_none=True)
        if self.weighting is None:
            breakdown = loss.breakdown(pred=pred, ref=ref)
            breakdown.total.backward()
            raw, total, weights = breakdown.raw.detach(), breakdown.total.detach(), loss.weights
        else:
            raw, total, weights = self._follow(loss, loss.raw_values(pred=pred, ref=ref))
        norm, limit = self._clip()
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update()
        if self.weighting is not None and self.weighting.needs_second_look:
            pred = self.model(
                ref, periodic=periodic, compute_stress=stress, training=False, **self._options
            )
            self.weighting.look_again(loss.raw_values(pred=pred, ref=ref))
        return Step(raw, weights, total, norm, limit)

    def _follow(
        self, loss: WeightedLoss, values: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Descend along weights that follow the training; the loss has them afterwards."""
        assert self.weighting is not None
        acting = self.weighting.backward(values, self._parameters)
        stacked = torch.stack([value.detach() for value in values.values()])
        total = (stacked * acting.to(stacked.dtype)).sum()
        zero = stacked.new_zeros(())
        raw = dict(zip(values, stacked.unbind(), strict=True))
        weight = dict(zip(values, acting.unbind(), strict=True))
        raws = torch.stack([raw.get(name, zero) for name in loss.names])
        weights = torch.stack([weight.get(name, zero.double()) for name in loss.names])
        loss.weights.copy_(weights)
        return raws, total, weights

    def end_epoch(self, valid_loss: float | None) -> None:
        """Let the learning-rate schedule see the end of an epoch.

        Args:
            valid_loss: What was seen of the validation; None while nothing was in this stage.
        """
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            if valid_loss is not None:
                self.scheduler.step(valid_loss)
        elif self.scheduler is not None:
            self.scheduler.step()

    def averaged(self) -> AbstractContextManager[None]:
        """A block in which the model has the averaged parameters, if there are such."""
        if self._trainer.optimizer == "schedulefree":
            return self._schedulefree_average()
        if self.ema is None:
            return nullcontext()
        average: AbstractContextManager[None] = self.ema.average_parameters()
        return average

    @contextmanager
    def _schedulefree_average(self) -> Iterator[None]:
        self._set_training(False)
        try:
            yield
        finally:
            self._set_training(True)

    def _set_training(self, on: bool) -> None:
        """Let schedulefree put the parameters where it takes gradients, or their average."""
        if self._trainer.optimizer == "schedulefree":
            optimizer: Any = self.optimizer
            (optimizer.train if on else optimizer.eval)()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; tensors and plain values only."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clipping": self._clip.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "scheduler": None if self.scheduler is None else _plain(self.scheduler.state_dict()),
            "weighting": None if self.weighting is None else dict(self.weighting.state_dict()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._clip.load_state_dict(state.get("clipping", {}))
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.weighting is not None:
            self.weighting.load_state_dict(state["weighting"])

    def _make_scheduler(
        self,
    ) -> torch.optim.lr_scheduler.ReduceLROnPlateau | torch.optim.lr_scheduler.ExponentialLR | None:
        if self._trainer.optimizer == "schedulefree":  # as in MACE
            return None
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
    """The optimiser with weight decay where MACE's own training has it."""
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        linear = "interactions." in name and name.endswith(("linear.weight", "skip_tp_full.weight"))
        (decayed if linear or "products." in name else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": trainer.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    betas = (trainer.beta, trainer.beta_two)
    optimizer: torch.optim.Optimizer
    if trainer.optimizer == "schedulefree":
        from schedulefree import AdamWScheduleFree

        optimizer = AdamWScheduleFree(groups, lr=lr, betas=betas)
        return optimizer
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[trainer.optimizer]
    optimizer = kind(groups, lr=lr, betas=betas, amsgrad=trainer.amsgrad)
    return optimizer
