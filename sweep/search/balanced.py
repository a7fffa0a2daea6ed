"""The parameters of trial 1: weights at which the gradients of all terms are equally long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from sweep.config.checks import check_config
from sweep.config.stages import Stage
from sweep.errors import TrainingError
from sweep.search.space import SearchSpace
from sweep.training.trainer import Trainer

__all__ = ["balanced_parameters"]


def balanced_parameters(cfg: DictConfig, space: SearchSpace, trainer: Trainer) -> dict[str, Any]:
    """The default parameters with every searched weight balanced, moved into its range.

    Args:
        cfg: The configuration of trial 0.
        space: The search space.
        trainer: Measures the gradients.

    Raises:
        TrainingError: if the default weights lead to values that are not finite.
    """
    import torch

    from losses import LossError
    from losses.balance import balanced_weights

    stages = check_config(cfg)
    params = space.defaults(cfg)
    norms = trainer.gradient_norms(cfg, stages)
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
