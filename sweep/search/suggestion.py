"""The parameters of a trial: drawn by its sampler, or fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial

from sweep.search.space import SearchSpace

__all__ = ["FixedSampler", "describe", "is_drawn", "suggest"]


def suggest(trial: Trial, space: SearchSpace) -> dict[str, Any]:
    """The parameters of a trial; a key inside a term that is switched off has none."""
    params: dict[str, Any] = {}
    for key, distribution in space.distributions.items():
        if space.is_searched(key, params):
            params[key] = _suggest(trial, key, distribution)
    return params


def is_drawn(trial: Trial, space: SearchSpace) -> bool:
    """Whether all parameters are there; a worker may die in the middle of drawing them."""
    params = trial.params
    return all(key in params for key in space.distributions if space.is_searched(key, params))


class FixedSampler(optuna.samplers.BaseSampler):
    """A sampler for a trial whose parameters are known."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """None: every parameter is set by itself."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see above."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The known value."""
        return self._params[param_name]


def _suggest(trial: Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(
        key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
    )


def describe(role: str | None, params: Mapping[str, Any]) -> str:
    """The weights of a trial in a line."""
    short = {key.removeprefix("loss.").removesuffix(".weight"): value for key, value in
             params.items()}  # fmt: skip
    values = " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in short.items()
    )
    return f"{role} weights: {values}" if role else values
