"""Gradients of the terms of a loss, measured on the model as it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losses import WeightedLoss
from losses.balance import GradientBalance, gradient_norms
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup

__all__ = ["balance_columns", "early_gradient_norms", "measure_gradients"]


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


def early_gradient_norms(
    setup: Setup, stages: list[Stage], trainer: TrainerConfig, *, seed: int, n_epochs: int
) -> list[dict[str, Tensor]]:
    """Norms of the terms' raw gradients before a training and after each of its first epochs.

    Args:
        setup: Data and model; the model's parameters are reset first.
        stages: The stages; the model is trained as in the first one.
        trainer: The trainer's configuration.
        seed: Seed of the order of the batches.
        n_epochs: Number of epochs.

    Returns:
        For every stage and term the norms, shape [1 + n_epochs].
    """
    setup.reset()
    # Most schedules differ in weights only from stage to stage: what is the same is measured once.
    kinds = [
        ({name: {**term, "weight": 1.0} for name, term in stage.loss.items()}, stage.options)
        for stage in stages
    ]
    distinct = [kind for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    probes = [(WeightedLoss(terms, setup.device), options) for terms, options in distinct]
    points: list[list[Tensor]] = [[] for _ in probes]

    def measure() -> None:
        for row, (probe, options) in zip(points, probes, strict=True):
            row.append(measure_gradients(setup, probe, options).raw)

    loss = WeightedLoss(stages[0].loss, setup.device)
    optimization = Optimization(setup.model, trainer, stages[0])
    measure()
    for epoch in range(n_epochs):
        for ref, periodic in setup.batches("train", seed=seed, epoch=epoch):
            optimization.step(loss, ref, periodic=periodic, stress=setup.needs_stress(loss))
        measure()
    norms = [
        dict(zip(probe.names, torch.stack(row).cpu().unbind(dim=1), strict=True))
        for row, (probe, _) in zip(points, probes, strict=True)
    ]
    return [norms[distinct.index(kind)] for kind in kinds]
