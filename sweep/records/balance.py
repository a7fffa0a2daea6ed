"""Term balance of a recorded trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from losses.balance import STARVED, effective_terms, shares_of, starved_terms
from sweep.errors import DamagedRecordError
from sweep.records.breakdown import stage_ends
from sweep.records.tables import BREAKDOWN

__all__ = [
    "DOMINATING_SHARE",
    "STARVED_SHARE",
    "Balance",
    "balance_of",
    "last_epoch_balance",
    "stage_balances",
]

STARVED_SHARE = STARVED
DOMINATING_SHARE = 0.75  # the others together decide less than a quarter


@dataclass(frozen=True)
class Balance:
    """How a loss was divided among its terms.

    Attributes:
        weights: Weight of every term.
        shares: Mean weighted value of every term over the mean total.
        raw: Mean raw value of every term, where known.
        stage: Index of the stage.
        epoch: The epoch over which the means were taken, None if it is no single one.
    """

    weights: dict[str, float]
    shares: dict[str, float]
    raw: dict[str, float] = field(default_factory=dict)
    stage: int = 0
    epoch: int | None = None

    @property
    def effective_terms(self) -> float:
        """Exponential of the entropy of the shares: 1 if one term is all, n if n are equal."""
        return effective_terms(self.shares.values())

    @property
    def dominant(self) -> str:
        """The term with the largest share."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def dominating(self) -> bool:
        """Whether that share is so large that the other terms hardly count."""
        return len(self.active) > 1 and self.shares[self.dominant] >= DOMINATING_SHARE

    @property
    def active(self) -> list[str]:
        """The terms with a weight."""
        return [name for name, weight in self.weights.items() if weight > 0]

    @property
    def starved(self) -> list[str]:
        """Terms with a weight whose share is below :data:`STARVED_SHARE`."""
        return [name for name in starved_terms(self.shares) if self.weights[name] > 0]


def balance_of(
    weights: Mapping[str, float],
    raw: Mapping[str, float],
    *,
    stage: int = 0,
    epoch: int | None = None,
) -> Balance | None:
    """The balance of mean raw values under weights, None if the total is 0 or not finite."""
    return _balance(weights, raw, {n: weights[n] * raw[n] for n in weights}, stage, epoch)


def stage_balances(path: Path) -> dict[int, Balance | None]:
    """The balance in the last recorded epoch of every stage, None where there is no finite total.

    Args:
        path: ``breakdown.parquet`` of a trial.

    Raises:
        DamagedRecordError: if the table cannot be read.
    """
    if not path.exists():
        return {}
    return {
        end.stage: _balance(end.weights, end.raw, end.weighted, end.stage, end.epoch)
        for end in stage_ends(path)
    }


def last_epoch_balance(folder: Path) -> Balance | None:
    """The balance over the last recorded epoch of a trial at work, None if none can be read."""
    try:
        balances = stage_balances(folder / BREAKDOWN)
    except DamagedRecordError:
        return None
    return balances[max(balances)] if balances else None


def _balance(
    weights: Mapping[str, float],
    raw: Mapping[str, float],
    weighted: Mapping[str, float],
    stage: int,
    epoch: int | None,
) -> Balance | None:
    total = sum(weighted.values())
    if not (math.isfinite(total) and total > 0):
        return None
    return Balance(dict(weights), shares_of(weighted), dict(raw), stage, epoch)
