"""Mace's evaluation, which hands us every prediction on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from losses import WeightedLoss
from sweep.training.mace_run_train.measurement import Measurement

__all__ = ["Evaluation"]

LossFunction = Callable[..., Tensor]


class Evaluation:
    """Adds up the errors of all that mace evaluates while it is asked to.

    Args:
        evaluate: Mace's own function, which makes the numbers of its log.
        measurement: What is measured.
        loss_of: Our loss; None where mace's own is the loss.
        check_stop: Called before every batch; raises to end the training.

    Attributes:
        collecting: Whether errors are added up.
    """

    def __init__(
        self,
        evaluate: Callable[..., tuple[float, Any]],
        measurement: Measurement,
        *,
        loss_of: Callable[[], WeightedLoss | None],
        check_stop: Callable[[], None],
    ) -> None:
        self._evaluate = evaluate
        self._measurement = measurement
        self._loss_of = loss_of
        self._check_stop = check_stop
        self.collecting = False
        self._sums: Tensor | None = None
        self._total, self._n_graphs = 0.0, 0

    def evaluate(
        self, model: torch.nn.Module, loss_fn: LossFunction, **given: Any
    ) -> tuple[float, Any]:
        """As mace's function of this name."""
        return self._evaluate(model=model, loss_fn=_Recorder(self._see, loss_fn), **given)

    def begin(self) -> None:
        """Begin to add up."""
        self.collecting = True
        self._sums, self._total, self._n_graphs = None, 0.0, 0

    def metrics(self) -> dict[str, float] | None:
        """``loss``, errors and ``score`` of what was added up; None for nothing. Ends it."""
        self.collecting = False
        if self._sums is None:
            return None
        metrics = {"loss": self._total / self._n_graphs}
        return metrics | self._measurement.metrics(self._sums)

    def _see(self, pred: Any, batch: Any, loss_fn: LossFunction) -> Tensor:
        """The loss of a batch, whose errors are added."""
        self._check_stop()
        with torch.no_grad():
            total = (self._loss_of() or loss_fn)(pred=pred, ref=batch)
            if self.collecting:
                sums = self._measurement.sums(pred, batch)
                self._sums = sums if self._sums is None else self._sums + sums
                self._total += float(total) * batch.num_graphs
                self._n_graphs += batch.num_graphs
        return total


class _Recorder(torch.nn.Module):
    """Stands for the loss in mace's evaluation.

    Torchmetrics evaluates it twice for each batch; the second time the value is known.
    """

    def __init__(self, see: Callable[..., Tensor], loss_fn: LossFunction) -> None:
        super().__init__()
        self._see = see
        self._loss_fn = [loss_fn]  # no submodule: torchmetrics would move it
        self._last: tuple[Any, Tensor] | None = None

    def forward(self, pred: Any, ref: Any) -> Tensor:
        """The loss of a batch."""
        if self._last is None or self._last[0] is not ref:
            self._last = (ref, self._see(pred, ref, self._loss_fn[0]))
        return self._last[1]
