"""Errors of a model on labelled data, in physical units and independent of every weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from losses import WeightedLoss
from sweep.quantities import QUANTITIES, Quantity

__all__ = ["entry_errors", "error_sums", "errors_of", "evaluate"]


def evaluate(
    predict: Callable[..., Mapping[str, Tensor]],
    batches: Iterable[tuple[Mapping[str, Tensor], bool]],
    loss: WeightedLoss,
    *,
    quantities: Sequence[str],
    compute_stress: bool,
) -> dict[str, float]:
    """Root-mean-square and mean absolute errors over the labelled entries of a data set.

    The sums stay on the device; they are read back once at the end.

    Args:
        predict: The model, or the model with options of its call.
        batches: Pairs of a batch and whether it is periodic.
        loss: Gives the column ``loss``: its mean over batches, weighted by their graphs.
        quantities: Names of :data:`~sweep.quantities.QUANTITIES` to measure.
        compute_stress: Whether the model computes stresses.

    Returns:
        ``loss`` and for every quantity ``rmse_<name>`` and ``mae_<name>`` in its unit, NaN where
        nothing is labelled.
    """
    rows: list[Tensor] = []
    for ref, periodic in batches:
        pred = predict(ref, periodic=periodic, compute_stress=compute_stress)
        pred = {key: value.detach() for key, value in pred.items() if value is not None}
        with torch.no_grad():
            n_graphs = ref["ptr"].numel() - 1
            total = loss(pred=pred, ref=ref).double()
            sums = [torch.stack([total * n_graphs, total.new_tensor(float(n_graphs))])]
            sums += [error_sums(QUANTITIES[name], pred, ref) for name in quantities]
            rows.append(torch.cat(sums))
    totals: list[float] = torch.stack(rows).sum(dim=0).tolist()
    metrics = {"loss": totals[0] / totals[1]}
    for i, name in enumerate(quantities):
        metrics |= errors_of(name, totals[2 + 3 * i : 5 + 3 * i])
    return metrics


def errors_of(name: str, sums: Sequence[float]) -> dict[str, float]:
    """``rmse_<name>`` and ``mae_<name>`` from :func:`error_sums`; NaN without labels."""
    squared, absolute, count = sums
    return {
        f"rmse_{name}": math.sqrt(squared / count) if count else math.nan,
        f"mae_{name}": absolute / count if count else math.nan,
    }


def error_sums(quantity: Quantity, pred: Mapping[str, Tensor], ref: Mapping[str, Tensor]) -> Tensor:
    """Sum of squared errors, of absolute errors, and number of labelled entries; shape [3]."""
    error, labelled = entry_errors(quantity, pred, ref)
    return torch.stack([error.square().sum(), error.abs().sum(), labelled.sum()])


def entry_errors(
    quantity: Quantity, pred: Mapping[str, Tensor], ref: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Prediction minus reference, 0 where nothing is labelled, and 1 where something is, else 0.

    Both have the shape of the quantity, [G, ...] or [N, ...], in double precision.
    """
    n_atoms = (ref["ptr"][1:] - ref["ptr"][:-1]).double()
    target = (pred if quantity.computed else ref)[quantity.ref].double()
    if quantity.summed:
        charges = pred[quantity.output][:, 0].double()
        value = torch.zeros_like(target).index_add(0, ref["batch"], charges)
    else:
        value = pred[quantity.pred].double()
    if quantity.shape is not None and "C" in quantity.shape:
        target = target[:, : value.shape[1]]
    error = value - target
    if quantity.per_atom:
        error = error / n_atoms
    labelled = (ref[quantity.weight] > 0).double()
    if error.shape[0] == ref["batch"].shape[0] and labelled.shape[0] == n_atoms.shape[0]:
        labelled = labelled[ref["batch"]]
    labelled = labelled.reshape(labelled.shape + (1,) * (error.ndim - labelled.ndim))
    labelled = labelled.expand_as(error)
    # A missing label is stored as zero; its error must not enter even if it is not finite.
    return torch.where(labelled > 0, error, 0.0), labelled
