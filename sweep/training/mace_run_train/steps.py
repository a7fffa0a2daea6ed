"""One step of mace's training with our loss in it, and what is recorded of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from losses import WeightedLoss
from losses.weighting import Weighting
from sweep.errors import TrainingError

__all__ = ["LossOfLbfgs", "StepRecord", "Stepper"]

StepRecord = dict[str, Any]
"""See ``step`` in :mod:`sweep.training.mace_run_train.events`."""


class Stepper:
    """Takes optimiser steps as ``mace.tools.train.take_step`` does, and reports each.

    Args:
        loss_of: Our loss in an epoch's stage; None if no term of ours equals mace's loss.
        own: Whether our loss trains, or mace's own while ours only tells its terms.
        weighting: Weights that follow the training, or None.
        record: Is given every step.
        check_stop: Called before every step; raises to end the training.
    """

    def __init__(
        self,
        loss_of: Callable[[], WeightedLoss | None],
        *,
        own: bool,
        weighting: Weighting | None,
        record: Callable[[StepRecord], None],
        check_stop: Callable[[], None],
    ) -> None:
        self._loss_of = loss_of
        self._own = own
        self._weighting = weighting
        self._record = record
        self._check_stop = check_stop
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch, self.n_steps, self._n_clipped = epoch, 0, 0

    @property
    def clipped(self) -> float:
        """Share of the epoch's steps in which the gradient was clipped."""
        return self._n_clipped / self.n_steps if self.n_steps else 0.0

    def take_step(
        self,
        model: torch.nn.Module,
        loss_fn: Callable[..., Tensor],
        batch: Any,
        optimizer: torch.optim.Optimizer,
        ema: Any,
        output_args: Mapping[str, bool],
        max_grad_norm: float | None,
        device: torch.device,
    ) -> tuple[Tensor, dict[str, Any]]:
        """As mace's function of this name, with its arguments and results."""
        self._check_stop()
        began = time.time()
        batch = batch.to(device)
        loss = self._loss_of()
        lr = float(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad(set_to_none=True)
        output = predict(model, batch, output_args)
        if loss is not None and self._own:
            raw, weights, total = self._descend(loss, output, batch, optimizer)
        else:
            total = loss_fn(pred=output, ref=batch)
            total.backward()
            raw, weights = _beside(loss, output, batch)
        total = total.detach()
        limit = math.inf if max_grad_norm is None else max_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=limit)
        optimizer.step()
        if ema is not None:
            ema.update()
        names = () if loss is None else loss.names
        values = torch.cat([raw.double(), weights.double(), torch.stack([total, norm]).double()])
        listed = values.tolist()
        self._report(names, listed, lr)
        self._n_clipped += listed[-1] > limit
        return total, {"loss": total.cpu().numpy(), "time": time.time() - began}

    def report_lbfgs(self, found: LossOfLbfgs, lr: float) -> None:
        """Report the one step that LBFGS takes in an epoch, by its values at the beginning."""
        raw, weights, total = found.first()
        values = [*raw.tolist(), *weights.tolist(), total]
        self._report(found.names, [*values, None], lr)

    def _descend(
        self, loss: WeightedLoss, output: Any, batch: Any, optimizer: torch.optim.Optimizer
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self._weighting is None:
            breakdown = loss.breakdown(pred=output, ref=batch)
            breakdown.total.backward()
            return breakdown.raw.detach(), loss.weights, breakdown.total
        values = loss.raw_values(pred=output, ref=batch)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        acting = dict(zip(values, self._weighting.backward(values, parameters), strict=True))
        zero = next(iter(values.values())).detach().new_zeros(())
        raw = torch.stack([values.get(name, zero).detach() for name in loss.names])
        weights = torch.stack([acting.get(name, zero.double()).double() for name in loss.names])
        loss.weights.copy_(weights)
        return raw, weights, (raw * weights.to(raw.dtype)).sum()

    def _report(self, names: Sequence[str], values: Sequence[float | None], lr: float) -> None:
        n = len(names)
        raw, weight, (total, norm) = values[:n], values[n : 2 * n], values[2 * n :]
        what = [*(f"term '{name}'" for name in names), "the total loss", "the gradient"]
        for value, name in zip([*raw, total, norm], what, strict=True):
            if value is not None and not math.isfinite(value):
                where = f"epoch {self.epoch}, batch {self.n_steps}"
                raise TrainingError(f"{where}: {name} is not finite")
        self._record(
            {
                "epoch": self.epoch, "step": self.n_steps, "time": time.time(), "lr": lr,
                "raw": raw, "weight": weight, "total": total, "norm": norm,
            }
        )  # fmt: skip
        self.n_steps += 1


class LossOfLbfgs(torch.nn.Module):
    """A loss for LBFGS, which evaluates it on all batches, many times a step.

    Args:
        loss: Our loss, with weights that stay.
        check_stop: Called before every evaluation.
    """

    def __init__(self, loss: WeightedLoss, check_stop: Callable[[], None]) -> None:
        super().__init__()
        self.loss = loss
        self.names = loss.names
        self._check_stop = check_stop
        self._found: list[tuple[Tensor, int]] = []
        self.n_batches = 0

    def forward(self, pred: Any, ref: Any) -> Tensor:
        """The total loss of a batch."""
        self._check_stop()
        breakdown = self.loss.breakdown(pred=pred, ref=ref)
        if len(self._found) < self.n_batches:
            self._found.append((breakdown.raw.detach().double(), int(ref.num_graphs)))
        return breakdown.total

    def begin(self, n_batches: int) -> None:
        """Begin a step over so many batches."""
        self.n_batches, self._found = n_batches, []

    def first(self) -> tuple[Tensor, Tensor, float]:
        """Raw values, weights and total at the parameters from which the step began."""
        n_graphs = sum(count for _, count in self._found)
        raw = torch.stack([values * count for values, count in self._found]).sum(0) / n_graphs
        weights = self.loss.weights.double()
        return raw, weights, float((raw * weights).sum())


def predict(model: torch.nn.Module, batch: Any, output_args: Mapping[str, bool]) -> Any:
    """The model's output as mace's training asks for it."""
    return model(
        batch.to_dict(),
        training=True,
        compute_force=output_args["forces"],
        compute_virials=output_args["virials"],
        compute_stress=output_args["stress"],
    )


def _beside(loss: WeightedLoss | None, output: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """The terms of mace's own loss, by ours, which does not train."""
    if loss is None:
        empty = torch.zeros(0)
        return empty, empty
    with torch.no_grad():
        return loss.raw(pred=output, ref=batch), loss.weights
