"""Optuna's distributions as the dimensions that ``study.json`` holds, and back."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.records.study_record import Dimension

__all__ = ["to_dimension", "to_distribution"]


def to_dimension(distribution: BaseDistribution) -> Dimension:
    """The dimension of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return Dimension("choice", choices=tuple(distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return Dimension(
        "int" if isinstance(distribution, IntDistribution) else "float",
        low=distribution.low,
        high=distribution.high,
        log=distribution.log,
        step=distribution.step,
    )


def to_distribution(dimension: Dimension) -> BaseDistribution:
    """The distribution of a dimension."""
    if dimension.low is None or dimension.high is None:
        return CategoricalDistribution(dimension.choices)
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.kind == "int":
        whole = 1 if step is None else int(step)
        return IntDistribution(int(low), int(high), log=dimension.log, step=whole)
    return FloatDistribution(float(low), float(high), log=dimension.log, step=step)
