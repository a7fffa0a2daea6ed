"""The tables and the debug log of one trial, committed epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweep.errors import DamagedRecordError
from sweep.quantities import QUANTITIES, quantity
from sweep.records.debug_log import DebugLog, breakdown_line, epoch_line
from sweep.records.tables import Table, geometric_means

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
        n_evaluations: Validations at the checkpoint; None for one in every epoch.
        multipoles_max_l: Largest l of the multipoles, for their unit in the log.

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
        n_evaluations: int | None = None,
        multipoles_max_l: int | None = None,
    ) -> None:
        self.folder = folder
        self._breakdown = Table(folder / "breakdown.parquet", last_epoch=last_epoch)
        self._metrics = Table(folder / "metrics.parquet", last_epoch=last_epoch)
        # The test set is measured once, at the end of a run; one that goes on measures it again.
        self._metrics.drop("split", "test")
        self._balance = Table(folder / "balance.parquet", last_epoch=last_epoch)
        self._log = DebugLog(folder / "logs" / f"{fit_name}_debug.log", size=log_size)
        self._lines: list[str] = []
        self._quantities = {name: quantity(name, multipoles_max_l) for name in QUANTITIES}
        for table, there, written in (
            ("breakdown", len(self._breakdown), n_steps),
            (
                "metrics",
                len(self._metrics),
                last_epoch + 1 if n_evaluations is None else n_evaluations,
            ),
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
        lr: float | np.ndarray | None,
        times: Sequence[float],
        raw: np.ndarray,
        weights: Mapping[str, float] | Mapping[str, np.ndarray],
        total: np.ndarray,
        grad_norm: np.ndarray | None,
    ) -> None:
        """Add the optimiser steps of one epoch.

        Args:
            first_step: Number of the first of these steps since the start of the trial.
            epoch: Their epoch.
            stage: Index of their stage.
            lr: Their learning rate; None if it is not known, which leaves the column out.
            times: Wall-clock time of each, in seconds since 1970.
            raw: Unweighted term values, shape [n_steps, n_terms], in the order of ``weights``.
            weights: Weight of each term: one, or one for each step, shape [n_steps].
            total: Total loss, shape [n_steps].
            grad_norm: Norm of the gradient before clipping, shape [n_steps]; None as for ``lr``.
        """
        n_steps = len(total)
        columns: dict[str, Any] = {
            "step": np.arange(first_step, first_step + n_steps),
            "epoch": np.full(n_steps, epoch),
            "stage": np.full(n_steps, stage),
            "lr": None if lr is None else np.broadcast_to(lr, n_steps),
            "total": total,
            "grad_norm": grad_norm,
        }
        columns = {name: values for name, values in columns.items() if values is not None}
        columns |= {f"raw.{name}": raw[:, i] for i, name in enumerate(weights)}
        acting = {name: np.broadcast_to(w, n_steps).astype(float) for name, w in weights.items()}
        columns |= {f"weight.{name}": weight for name, weight in acting.items()}
        self._breakdown.append(columns)
        if not acting:  # who trains tells only the total
            return
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
            (name, metrics[f"rmse_{name}"] * found.display_factor, found.display_unit)
            for name, found in self._quantities.items()
            if f"rmse_{name}" in metrics
        ]
        if split == "valid":
            self._lines.append(epoch_line(time.time(), epoch, metrics.get("loss"), errors))

    def add_gradients(
        self,
        terms: Sequence[str],
        *,
        step: int,
        epoch: int,
        stage: int,
        raw: np.ndarray,
        weighted: np.ndarray,
        cosine: np.ndarray,
    ) -> None:
        """Add one measurement of the terms' gradients, one row per term.

        Args:
            terms: Their names.
            step: Number of optimiser steps before it.
            epoch: Its epoch.
            stage: Index of its stage.
            raw: Norm of the gradient of each raw value, shape [n_terms].
            weighted: The same of each weighted value.
            cosine: Cosines between the gradients of each two terms, shape [n_terms, n_terms].
        """
        n_terms = len(terms)
        columns: dict[str, Any] = {
            "step": np.full(n_terms, step),
            "epoch": np.full(n_terms, epoch),
            "stage": np.full(n_terms, stage),
            "term": list(terms),
            "raw_norm": raw,
            "weighted_norm": weighted,
        }
        self.add_balance(columns | {f"cosine.{t}": cosine[:, i] for i, t in enumerate(terms)})

    def add_balance(self, columns: Mapping[str, Any]) -> None:
        """Add one measurement of the terms' gradients, one row per term."""
        self._balance.append(columns)

    def mean_weights(self, start: int, end: int) -> dict[str, float]:
        """Geometric mean of the weights that acted in the epochs of a stage, both ends included.

        Of a term that was on in a part of it only, over that part.
        """
        return geometric_means(self._breakdown.columns("weight.", (start, end)))

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
