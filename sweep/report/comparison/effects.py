"""What a searched share or weight does to an error, as the trials of a study tell it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sweep.records import Dimension
from sweep.report.comparison.importance import MIN_TRIALS
from sweep.report.names import weight_term

__all__ = ["Effect", "effects", "term_of"]

_SHARE = re.compile(r"weighting\.shares\.(\w+)")
_CONFIDENCE = 0.95  # of one side


@dataclass(frozen=True)
class Effect:
    """How an error follows a share or weight: error ∝ value^slope, by least squares.

    Attributes:
        parameter: The searched key.
        metric: The error.
        slope: The power.
        deviation: Its standard error.
        p: Probability of such a slope where there is no effect.
        low: Smallest value that was tried.
        high: Largest value that was tried.
        n: Number of trials.
    """

    parameter: str
    metric: str
    slope: float
    deviation: float
    p: float
    low: float
    high: float
    n: int

    def change(self, ratio: float) -> float:
        """Relative change of the error where the value is ``ratio`` times as large."""
        return float(ratio**self.slope - 1)

    def worst(self, ratio: float) -> float:
        """The largest change that the trials do not exclude at 95 %."""
        from scipy.stats import t

        margin = float(t.ppf(_CONFIDENCE, self.n - 2)) * self.deviation
        return math.exp(self.slope * math.log(ratio) + margin * abs(math.log(ratio))) - 1


def term_of(key: str) -> str | None:
    """The term whose share or weight a key is, in all stages; None if it is neither."""
    match = _SHARE.fullmatch(key)
    if match is not None:
        return match[1]
    weight = weight_term(key)
    return weight[0] if weight is not None and weight[1] is None else None


def effects(
    trials: pd.DataFrame, space: Mapping[str, Dimension], metrics: Iterable[str]
) -> list[Effect]:
    """Every share and weight against every error, over the complete trials that draw them.

    One line for each pair: samplers vary all keys together, so what the others do is scatter, and
    widens the errors of the slopes. Trials outside the search space are left out.

    Args:
        trials: Table of the trials.
        space: The search space.
        metrics: The errors.

    Returns:
        Nothing if fewer than eight trials are complete.
    """
    complete = trials[trials["state"] == "COMPLETE"]
    found = []
    for key, dimension in space.items():
        column = f"param.{key}"
        if term_of(key) is None or not dimension.is_range or column not in complete:
            continue
        values = pd.to_numeric(complete[column], errors="coerce")
        for metric in metrics:
            if f"valid.{metric}" not in complete:
                continue
            errors = pd.to_numeric(complete[f"valid.{metric}"], errors="coerce")
            known = (values > 0) & (errors > 0)
            x, y = np.log(values[known].to_numpy()), np.log(errors[known].to_numpy())
            if len(x) < MIN_TRIALS or not np.ptp(x) or not np.ptp(y):
                continue
            from scipy.stats import linregress  # which takes a while to import

            line = linregress(x, y)
            low, high = float(np.exp(x.min())), float(np.exp(x.max()))
            found.append(
                Effect(key, metric, float(line.slope), float(line.stderr), float(line.pvalue),
                       low, high, len(x))
            )  # fmt: skip
    return found
