"""The tables and the debug log of one trial, committed epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweep.errors import DamagedRecordError
from sweep.quantities import QUANTITIES
from sweep.records.debug_log import DebugLog, breakdown_line, epoch_line
from sweep.records.tables import Table

__all__ = ["EpochTables"]


class EpochTables:
    """Writes the tables and the log of a trial.

    The epoch is the unit of commitment: its rows, metrics and log lines are written by
    :meth:`write`, then the caller writes the checkpoint that holds the returned log size. A run
    that dies in between is cut back to its checkpoint when it is opened again.

    Args:
        folder: Folder of the trial.
        fit_name: Names the debug log.
        last_epoch: Last epoch of the checkpoint, -1 if there is none.
        log_size: Size of the debug log at the checkpoint.
        n_steps: Optimiser steps at the checkpoint.

    Raises:
        DamagedRecordError: if a file is damaged, or a row that belongs to the checkpoint is gone.
    """

    def __init__(
        self,
        folder: Path,
        fit_name: str,
        *,
        last_epoch: int = -1,
        log_size: int = 0,
        n_steps: int = 0,
    ) -> None:
        self.folder = folder
        self._breakdown = Table(folder / "breakdown.parquet", last_epoch=last_epoch)
        self._metrics = Table(folder / "metrics.parquet", last_epoch=last_epoch)
        # The test set is measured once, at the end of a run; one that goes on measures it again.
        self._metrics.drop("split", "test")
        self._balance = Table(folder / "balance.parquet", last_epoch=last_epoch)
        self._log = DebugLog(folder / "logs" / f"{fit_name}_debug.log", size=log_size)
        self._lines: list[str] = []
        for table, there, written in (
            ("breakdown", len(self._breakdown), n_steps),
            ("metrics", len(self._metrics), last_epoch + 1),
        ):
            if there != written:
                raise DamagedRecordError(
                    f"{folder / table}.parquet: {there} rows; {written} were written"
                )

    def add_steps(
        self,
        *,
        first_step: int,
        epoch: int,
        stage: int,
        lr: float,
        times: Sequence[float],
        raw: np.ndarray,
        weights: Mapping[str, float] | Mapping[str, np.ndarray],
        total: np.ndarray,
        grad_norm: np.ndarray,
    ) -> None:
        """Add the optimiser steps of one epoch.

        Args:
            first_step: Number of the first of these steps since the start of the trial.
            epoch: Their epoch.
            stage: Index of their stage.
            lr: Their learning rate.
            times: Wall-clock time of each, in seconds since 1970.
            raw: Unweighted term values, shape [n_steps, n_terms], in the order of ``weights``.
            weights: Weight of each term: one, or one for each step, shape [n_steps].
            total: Total loss, shape [n_steps].
            grad_norm: Norm of the gradient before clipping, shape [n_steps].
        """
        n_steps = len(total)
        columns: dict[str, Any] = {
            "step": np.arange(first_step, first_step + n_steps),
            "epoch": np.full(n_steps, epoch),
            "stage": np.full(n_steps, stage),
            "lr": np.full(n_steps, lr),
            "total": total,
            "grad_norm": grad_norm,
        }
        columns |= {f"raw.{name}": raw[:, i] for i, name in enumerate(weights)}
        acting = {name: np.broadcast_to(w, n_steps).astype(float) for name, w in weights.items()}
        columns |= {f"weight.{name}": weight for name, weight in acting.items()}
        self._breakdown.append(columns)
        active = [i for i, weight in enumerate(acting.values()) if (weight > 0).any()]
        names = [list(acting)[i] for i in active]
        weighted = raw * np.stack(list(acting.values()), axis=1)
        for when, row in zip(times, weighted[:, active].tolist(), strict=True):
            self._lines.append(breakdown_line(when, names, row))

    def add_metrics(
        self, *, step: int, epoch: int, stage: int, split: str, metrics: Mapping[str, float]
    ) -> None:
        """Add one evaluation: ``loss``, ``score`` and ``rmse_<quantity>``, ``mae_<quantity>``."""
        row: dict[str, Any] = {"step": [step], "epoch": [epoch], "stage": [stage], "split": [split]}
        self._metrics.append(row | {name: [value] for name, value in metrics.items()})
        errors = [
            (name, metrics[f"rmse_{name}"] * quantity.display_factor, quantity.display_unit)
            for name, quantity in QUANTITIES.items()
            if f"rmse_{name}" in metrics
        ]
        if split == "valid":
            self._lines.append(epoch_line(time.time(), epoch, metrics["loss"], errors))

    def add_balance(self, columns: Mapping[str, Any]) -> None:
        """Add one measurement of the terms' gradients, one row per term."""
        self._balance.append(columns)

    def mean_weights(self, start: int, end: int) -> dict[str, float]:
        """Geometric mean of the weights that acted in the epochs of a stage, both ends included.

        Of a term that was on in a part of it only, over that part.
        """
        acted = self._breakdown.columns("weight.", (start, end))
        on = {name: weights[weights > 0] for name, weights in acted.items() if len(weights)}
        return {
            name: float(np.exp(np.log(weights).mean())) if len(weights) else 0.0
            for name, weights in on.items()
        }

    def write(self, check: Callable[[], None] = lambda: None) -> int:
        """Write what was added; returns the size of the debug log, for the checkpoint.

        Args:
            check: Called right before each file changes; what it raises leaves the rest as it is.
        """
        for table in (self._breakdown, self._metrics, self._balance):
            table.write(check)
        check()
        size = self._log.append(self._lines)
        self._lines = []
        return size
