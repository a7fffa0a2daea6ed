"""Gradients of the terms of a loss on mace's model, always on the same configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from losses import WeightedLoss
from losses.balance import GradientBalance, gradient_norms
from sweep.training.mace_run_train.steps import predict

__all__ = ["Gradients"]


class Gradients:
    """Measures them with respect to the parameters that the optimiser has.

    Args:
        model: The model.
        optimizer: Its optimiser.
        loader: Of the training set; a batch of configurations from all over it is taken.
        output_args: What mace lets the model compute.
        device: Where the model is.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        loader: Any,
        output_args: Mapping[str, bool],
        device: torch.device,
    ) -> None:
        from mace.tools.torch_geometric.batch import Batch

        dataset = loader.dataset
        count = min(loader.batch_size, len(dataset))
        chosen = [dataset[i * len(dataset) // count] for i in range(count)]
        self.batch = Batch.from_data_list(chosen).to(device)
        self._model = model
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._output_args = output_args

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self._parameters if p.requires_grad)

    def predict(self) -> Any:
        """The model's output for the batch."""
        return predict(self._model, self.batch, self._output_args)

    def measure(self, loss: WeightedLoss) -> GradientBalance:
        """Norms and cosines of the gradients of a loss's terms."""
        return gradient_norms(loss, self._parameters, self.predict(), self.batch)

    def table(self, losses: Sequence[WeightedLoss]) -> list[dict[str, Any]]:
        """For each stage's loss its terms with their raw and weighted values and gradient norms."""
        pred = self.predict()
        rows = []
        for loss in losses:
            found = self.measure(loss)
            norms = dict(zip(found.names, found.raw.tolist(), strict=True))
            breakdown = loss.breakdown(pred=pred, ref=self.batch)
            rows.append(
                {
                    "terms": list(loss.names),
                    "raw": breakdown.raw.tolist(),
                    "weighted": breakdown.weighted.tolist(),
                    "norm": [norms[name] for name in loss.names],
                }
            )
        return rows
