"""Numbers over several seeds: mean, spread, and whether one mean is below another."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.numbers import number

__all__ = ["MAX_SEEDS", "SIGNIFICANCE", "Spread", "paired", "seeds_needed", "welch"]

SIGNIFICANCE = 0.05  # of the one-sided test
MAX_SEEDS = 20  # more than anybody trains for the sake of a test
_POWER = 0.8  # probability of showing a difference that is as large as it looks


@dataclass(frozen=True)
class Spread:
    """A number over several seeds.

    Attributes:
        values: One for each seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation; None for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, factor: float = 1.0) -> str:
        """``0.053 ± 0.002``."""
        if self.deviation is None:
            return number(self.mean * factor)
        return f"{number(self.mean * factor)} ± {number(self.deviation * factor, 2)}"


def welch(values: Sequence[float], reference: Sequence[float]) -> float | None:
    """P-value of the mean of ``values`` not being below that of ``reference``."""
    if len(values) < 2 or len(reference) < 2:
        return None
    means = statistics.fmean(values), statistics.fmean(reference)
    deviations = statistics.stdev(values), statistics.stdev(reference)
    if not any(deviations):  # the seed makes no difference
        return 0.0 if means[0] < means[1] else 1.0
    # scipy takes a while to import, and most studies need it nowhere else.
    from scipy.stats import ttest_ind_from_stats

    result = ttest_ind_from_stats(
        means[0], deviations[0], len(values), means[1], deviations[1], len(reference),
        equal_var=False, alternative="less",
    )  # fmt: skip
    return float(result.pvalue)


def paired(values: Sequence[float], reference: Sequence[float]) -> float | None:
    """P-value of the mean of ``values`` not being below that of ``reference``, seed by seed."""
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    if len(differences) < 2:
        return None
    mean = statistics.fmean(differences)
    if statistics.stdev(differences) <= 1e-9 * abs(mean) or not mean:
        return 0.0 if mean < 0 else 1.0  # the seed makes no difference
    from scipy.stats import ttest_rel

    return float(ttest_rel(values, reference, alternative="less").pvalue)


def seeds_needed(
    values: Sequence[float], reference: Sequence[float], significance: float = SIGNIFICANCE
) -> int | None:
    """How many seeds show a difference as large as this one, at this spread, four times in five.

    The power of the one-sided t-test of two equally large groups.

    Returns:
        At least one more than there are; None if :data:`MAX_SEEDS` do not suffice, or there is
        nothing to show.
    """
    gain = statistics.fmean(reference) - statistics.fmean(values)
    if len(values) < 2 or len(reference) < 2 or gain <= 0:
        return None
    spread = math.sqrt((statistics.variance(values) + statistics.variance(reference)) / 2)
    if not spread:
        return None
    from scipy.stats import nct, t

    for n in range(min(len(values), len(reference)) + 1, MAX_SEEDS + 1):
        freedom = 2 * n - 2
        limit = t.ppf(1 - significance, freedom)
        if nct.sf(limit, freedom, gain / spread * math.sqrt(n / 2)) >= _POWER:
            return n
    return None
