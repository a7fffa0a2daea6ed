"""The score of a model, independent of every weight. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sweep.records.judging import score_of

__all__ = ["score"]


def score(
    metrics: Mapping[str, float],
    scales: Mapping[str, float],
    powers: Mapping[str, float],
    statistic: str,
) -> float:
    """Geometric mean of error over scale; what a study minimises.

    Args:
        metrics: Validation errors, as :func:`sweep.training.metrics.evaluate` gives them.
        scales: Standard deviation of each quantity's reference in the training set.
        powers: The objective's quantities and their exponents in the mean.
        statistic: ``rmse`` or ``mae``.
    """
    errors = {name: metrics[f"{statistic}_{name}"] for name in powers}
    found = score_of(errors, scales, powers)
    return math.nan if found is None or not math.isfinite(sum(errors.values())) else found
