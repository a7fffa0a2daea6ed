"""The parameters of trial 1: weights at which the gradients of all terms are equally long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from losses import LossError, WeightedLoss
from losses.balance import balanced_weights
from sweep.config.checks import check_config
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage
from sweep.errors import TrainingError
from sweep.search.space import SearchSpace
from sweep.training.balance import measure_gradients
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup

__all__ = ["balanced_parameters"]


def balanced_parameters(cfg: DictConfig, space: SearchSpace, setup: Setup) -> dict[str, Any]:
    """The default parameters with every searched weight balanced, moved into its range.

    Gradients are measured at the initial parameters and after each of the first
    ``search.balance_epochs`` epochs with the default weights: at the very start alone they are not
    typical of a training.

    Args:
        cfg: The configuration of trial 0.
        space: The search space.
        setup: Data and model; the model's parameters are reset first.

    Raises:
        TrainingError: if the default weights lead to values that are not finite.
    """
    stages = check_config(cfg)
    params = space.defaults(cfg)
    norms = _measure(cfg, setup, stages)
    for key, (index, term) in space.weights.items():
        stage = _first_sharing(stages, cfg) if index is None else stages[index]
        weights = {name: weight for name, weight in stage.weights.items() if weight > 0}
        if term not in weights:
            continue
        reference = cfg.search.reference or _reference(weights, space, index)
        columns = torch.stack([norms[stage.index][name] for name in weights], dim=1)
        try:
            balanced = balanced_weights(weights, columns, reference, cfg.search.balance_prior)
        except LossError as error:
            raise TrainingError(str(error)) from error
        params[key] = space.clip(key, balanced[term])
    return params


def _measure(cfg: DictConfig, setup: Setup, stages: list[Stage]) -> list[dict[str, torch.Tensor]]:
    """For every stage the norm of its terms' raw gradients at each measuring point, [n_points]."""
    setup.reset()
    # Most schedules differ in weights only from stage to stage: what is the same is measured once.
    kinds = [
        ({name: {**term, "weight": 1.0} for name, term in stage.loss.items()}, stage.options)
        for stage in stages
    ]
    distinct = [kind for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    probes = [(WeightedLoss(terms, setup.device), options) for terms, options in distinct]
    points: list[list[torch.Tensor]] = [[] for _ in probes]

    def measure() -> None:
        for row, (probe, options) in zip(points, probes, strict=True):
            row.append(measure_gradients(setup, probe, options).raw)

    loss = WeightedLoss(stages[0].loss, setup.device)
    optimization = Optimization(
        setup.model, cast(TrainerConfig, OmegaConf.to_object(cfg.trainer)), stages[0]
    )
    measure()
    for epoch in range(cfg.search.balance_epochs):
        for ref, periodic in setup.batches("train", seed=cfg.seed, epoch=epoch):
            optimization.step(loss, ref, periodic=periodic, stress=setup.needs_stress(loss))
        measure()
    norms = [
        dict(zip(probe.names, torch.stack(row).cpu().unbind(dim=1), strict=True))
        for row, (probe, _) in zip(points, probes, strict=True)
    ]
    return [norms[distinct.index(kind)] for kind in kinds]


def _first_sharing(stages: list[Stage], cfg: DictConfig) -> Stage:
    """The first stage that takes the composed loss."""
    own = {int(index) for index, stage in cfg.train_schedule.items() if stage.loss is not None}
    return next((stage for stage in stages if stage.index not in own), stages[0])


def _reference(weights: Mapping[str, float], space: SearchSpace, stage: int | None) -> str:
    """The first term that is not searched, else the first."""
    prefix = f"train_schedule.{stage}.loss" if stage is not None else "loss"
    searched = {
        name
        for name in weights
        if {f"{prefix}.{name}", f"{prefix}.{name}.weight"} & set(space.distributions)
    }
    return next((name for name in weights if name not in searched), next(iter(weights)))
