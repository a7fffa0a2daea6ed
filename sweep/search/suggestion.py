"""The parameters of a trial: drawn by its sampler, or fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from sweep.search.space import SearchSpace

__all__ = ["describe", "suggest"]


def suggest(trial: Trial, space: SearchSpace) -> dict[str, Any]:
    """The parameters of a trial; a key inside a term that is switched off has none."""
    params: dict[str, Any] = {}
    for key, distribution in space.distributions.items():
        if space.is_searched(key, params):
            params[key] = _suggest(trial, key, distribution)
    return params


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
