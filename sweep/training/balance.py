"""Gradients of the terms of a loss, measured on the model as it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losses import WeightedLoss
from losses.balance import GradientBalance, gradient_norms
from sweep.training.setup import Setup

__all__ = ["measure_gradients"]


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
