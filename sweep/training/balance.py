"""Gradients of the terms of a loss, measured on the model as it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from losses import WeightedLoss
from losses.balance import GradientBalance, gradient_norms
from sweep.training.setup import Setup

__all__ = ["balance_columns", "measure_gradients"]


def measure_gradients(
    setup: Setup, loss: WeightedLoss, options: Mapping[str, Any]
) -> GradientBalance:
    """Norms and cosines of the terms' gradients at the model's present parameters.

    Always on the same batch of the training set. Costs one forward pass and one backward pass per
    term; leaves parameters and their gradients as they are.

    Args:
        setup: Data and model.
        loss: The terms.
        options: Of the stage, for the model's call.
    """
    ref, periodic = setup.balance_batch()
    pred = setup.model(
        ref,
        periodic=periodic,
        compute_stress=setup.needs_stress(loss),
        training=True,
        **options,
    )
    return gradient_norms(loss, setup.model, pred, ref)


def balance_columns(
    balance: GradientBalance, *, step: int, epoch: int, stage: int
) -> dict[str, Any]:
    """Rows of ``balance.parquet``: one per term, its gradient's norms and its cosines to all."""
    n_terms = len(balance.names)
    cosine = balance.cosine.double().cpu().numpy()
    columns: dict[str, Any] = {
        "step": np.full(n_terms, step),
        "epoch": np.full(n_terms, epoch),
        "stage": np.full(n_terms, stage),
        "term": list(balance.names),
        "raw_norm": balance.raw.double().cpu().numpy(),
        "weighted_norm": balance.weighted.double().cpu().numpy(),
    }
    return columns | {f"cosine.{name}": cosine[:, i] for i, name in enumerate(balance.names)}
