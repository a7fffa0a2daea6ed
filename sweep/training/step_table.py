"""The steps of an epoch as columns of ``breakdown.parquet``, whoever trained them. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losses.balance import shares_of
from sweep.errors import TrainingError
from sweep.records.epoch_tables import EpochTables

__all__ = ["StepTable", "check_finite"]


@dataclass(frozen=True)
class StepTable:
    """The steps of one epoch.

    Attributes:
        names: The terms, ``n_terms``.
        raw: Their values, ``(n_steps, n_terms)``; NaN where one is not known.
        weights: Weights that acted, ``(n_steps, n_terms)``.
        total: Total loss, ``(n_steps,)``.
        times: Seconds since the epoch of the clock, ``n_steps``.
        lr: Learning rate, one or ``(n_steps,)``; None if it is not known.
        grad_norm: Norm of the gradient before clipping, ``(n_steps,)``; None if it is not known.
        limit: The norm that it was clipped at, one or ``(n_steps,)``; None if it is not known.
    """

    names: Sequence[str]
    raw: np.ndarray
    weights: np.ndarray
    total: np.ndarray
    times: Sequence[float]
    lr: float | np.ndarray | None
    grad_norm: np.ndarray | None
    limit: float | np.ndarray | None = None

    def add_to(self, tables: EpochTables, *, first_step: int, epoch: int, stage: int) -> None:
        """Add a row for each step."""
        tables.add_steps(
            first_step=first_step,
            epoch=epoch,
            stage=stage,
            times=self.times,
            raw=self.raw,
            weights=dict(zip(self.names, self.weights.T, strict=True)),
            total=self.total,
            lr=self.lr,
            grad_norm=self.grad_norm,
        )

    def shares(self) -> dict[str, float]:
        """Mean share of each term in the loss of the epoch; empty if no term is known."""
        if not self.names:
            return {}
        weighted = np.nanmean(self.raw * self.weights, axis=0)
        return shares_of(dict(zip(self.names, weighted.tolist(), strict=True)))

    def clipped(self) -> float | None:
        """Share of the steps whose gradient was clipped; None where it is not known."""
        if self.grad_norm is None or self.limit is None:
            return None
        return float((self.grad_norm > self.limit).mean())


def check_finite(values: np.ndarray, names: list[str], epoch: int) -> None:
    """Check what the steps of an epoch left.

    Args:
        values: The raw terms, the total and the gradient norm of every step, in columns.
        names: The terms.
        epoch: For the message.

    Raises:
        TrainingError: naming batch and term.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        batch = int(np.argmax(bad.any(axis=1)))
        column = int(np.argmax(bad[batch]))
        what = [*(f"term '{name}'" for name in names), "the total loss", "the gradient"][column]
        raise TrainingError(f"epoch {epoch}, batch {batch}: {what} is not finite")
