"""Term balance of a recorded trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

__all__ = ["STARVED_SHARE", "Balance", "last_epoch_balance"]

STARVED_SHARE = 0.01  # as in losses.balance


@dataclass(frozen=True)
class Balance:
    """How a loss was divided among its terms.

    Attributes:
        weights: Weight of every term.
        shares: Mean weighted value of every term over the mean total.
    """

    weights: dict[str, float]
    shares: dict[str, float]

    @property
    def effective_terms(self) -> float:
        """Exponential of the entropy of the shares: 1 if one term is all, n if n are equal."""
        return math.exp(-sum(share * math.log(share) for share in self.shares.values() if share))

    @property
    def dominant(self) -> str:
        """The term with the largest share."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def starved(self) -> list[str]:
        """Terms with a weight whose share is below :data:`STARVED_SHARE`."""
        return [
            name
            for name, share in self.shares.items()
            if share < STARVED_SHARE and self.weights[name] > 0
        ]


def last_epoch_balance(folder: Path) -> Balance | None:
    """The balance over the last recorded epoch of a trial, None if none can be read.

    Args:
        folder: Folder of the trial, with ``breakdown.parquet``.
    """
    path = folder / "breakdown.parquet"
    if not path.exists():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError):  # damaged: pyarrow raises the one or the other
        return None
    table = table[table["epoch"] == table["epoch"].max()].dropna(axis="columns", how="all")
    names = [c.removeprefix("raw.") for c in table.columns if c.startswith("raw.")]
    weights = {name: float(table[f"weight.{name}"].iloc[-1]) for name in names}
    weighted = {
        name: float((table[f"raw.{name}"] * table[f"weight.{name}"]).mean()) for name in names
    }
    total = sum(weighted.values())
    if not (math.isfinite(total) and total > 0):
        return None
    return Balance(weights, {name: value / total for name, value in weighted.items()})
