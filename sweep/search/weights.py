"""The weights of a configuration by their keys, and those that acted in a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.records.trial import StageRecord
from sweep.search.space import SearchSpace

__all__ = ["Weight", "static_overrides", "static_parameters", "weight_keys"]


@dataclass(frozen=True)
class Weight:
    """A weight of the configuration.

    Attributes:
        term: Its term.
        stage: Index of the stage whose own loss it is in; of the composed loss, which several
            stages may share, the last of these stages.
        value: What it is.
    """

    term: str
    stage: int
    value: float


def weight_keys(cfg: DictConfig) -> dict[str, Weight]:
    """Every weight above 0 by its key, in the composed loss and in those of stages.

    Args:
        cfg: The composed configuration; it need not be checked yet.
    """
    own = {int(index): stage.loss for index, stage in cfg.train_schedule.items()}
    sharing = [index for index, loss in own.items() if loss is None]
    blocks = {"loss": (max(sharing), cfg.loss)} if sharing else {}
    blocks |= {
        f"train_schedule.{index}.loss": (index, loss)
        for index, loss in own.items()
        if loss is not None
    }
    found = {}
    for block, (stage, loss) in blocks.items():
        for name, term in loss.items() if OmegaConf.is_dict(loss) else ():
            is_mapping = OmegaConf.is_dict(term)
            value = term.get("weight") if is_mapping else term
            if _is_above_zero(value):
                key = f"{block}.{name}.weight" if is_mapping else f"{block}.{name}"
                found[key] = Weight(name, stage, value)
    return found


def static_overrides(cfg: DictConfig, stages: Sequence[StageRecord]) -> dict[str, float]:
    """The weights that acted in a training, for all weights of the configuration.

    Args:
        cfg: The configuration of trial 0.
        stages: The stages of the training as recorded: where the weights moved, with the geometric
            means over each stage. What several stages share takes those of the last one.
    """
    return {
        key: found
        for key, weight in weight_keys(cfg).items()
        if (found := _acted(stages, weight)) is not None
    }


def static_parameters(
    cfg: DictConfig, space: SearchSpace, stages: Sequence[StageRecord]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The default parameters with every searched weight as it acted.

    The scale is such that the reference of the stage keeps its weight: ``search.reference``, else
    the first term that is not searched, else the first.

    Args:
        cfg: The configuration of trial 0.
        space: The search space.
        stages: The stages of the training, as in :func:`static_overrides`.

    Returns:
        The parameters of a trial, and what it trains beyond them: where a weight lies outside its
        range the trial is no point of the space, and moved into it it would be another training.
    """
    weights = weight_keys(cfg)
    params = space.defaults(cfg)
    is_inside = True
    for key in space.weights.keys() & params.keys() & weights.keys():
        weight = weights[key]
        beside = {k: w for k, w in weights.items() if w.stage == weight.stage}
        reference = _reference(beside, space, cfg.search.reference)
        acted, unit = _acted(stages, weight), _acted(stages, reference)
        if acted is not None and unit is not None:
            params[key] = acted * reference.value / unit
            is_inside = is_inside and space.clip(key, params[key]) == params[key]
    return (params, {}) if is_inside else ({}, params)


def _reference(weights: dict[str, Weight], space: SearchSpace, given: str | None) -> Weight:
    named = [weight for weight in weights.values() if weight.term == given]
    fixed = [weight for key, weight in weights.items() if key not in space.distributions]
    return [*named, *fixed, *weights.values()][0]


def _acted(stages: Sequence[StageRecord], weight: Weight) -> float | None:
    """The weight that acted; None if the term had none."""
    term = stages[weight.stage].loss.get(weight.term) if weight.stage < len(stages) else None
    value = None if term is None else term.get("weight")
    return value if _is_above_zero(value) else None


def _is_above_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
