"""Reads ``breakdown.parquet``: only the columns and row groups that a question needs.

A table of 100,000 steps is some ten megabytes, and a study may hold a thousand of them. Epoch and
stage compress to nothing, so they are read whole; of the values only the row groups are read that
hold the wanted epochs.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from losses.balance import shares_of
from sweep.errors import DamagedRecordError
from sweep.records.tables import damaged

__all__ = ["EpochTerms", "Evolution", "StageEnd", "epochs_from", "evolution", "stage_ends"]

_FINE_EPOCHS = 20  # a run of fewer epochs is resolved within its epochs
_FINE_BINS = 60  # so that it has about this many points


@dataclass(frozen=True)
class StageEnd:
    """The last recorded epoch of one stage.

    Attributes:
        stage: Index of the stage.
        epoch: The epoch.
        weights: Weight of every term of the stage.
        raw: Mean raw value of every term; 0 for a term of weight 0, which is not evaluated.
        weighted: Mean weighted value of every term.
    """

    stage: int
    epoch: int
    weights: dict[str, float]
    raw: dict[str, float]
    weighted: dict[str, float]


@dataclass(frozen=True)
class EpochTerms:
    """The terms of one epoch.

    Attributes:
        shares: Mean weighted value of each term over the mean total; empty if no value is known.
        weights: Weight of each term at the end of the epoch.
        lr: Learning rate at the end of the epoch; None if it is not known.
    """

    shares: dict[str, float]
    weights: dict[str, float]
    lr: float | None


@dataclass(frozen=True)
class Evolution:
    """The terms of one run over its training, averaged over bins of steps.

    Attributes:
        epoch: Where each bin lies, in epochs from the start, shape [n_bins].
        step: Mean step of each bin, shape [n_bins].
        stage: Stage of each bin, shape [n_bins].
        weighted: Mean weighted value of each term, shape [n_bins]; NaN where a stage lacks it.
        weights: Mean of the weights that acted, shape [n_bins].
    """

    epoch: np.ndarray
    step: np.ndarray
    stage: np.ndarray
    weighted: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    @property
    def shares(self) -> dict[str, np.ndarray]:
        """Mean weighted value of each term over the mean total, shape [n_bins]."""
        values = np.array(list(self.weighted.values()))
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.nansum(values, axis=0)
            shares = np.where(total > 0, values / total, np.nan)
        return dict(zip(self.weighted, shares, strict=True))


def stage_ends(path: Path) -> list[StageEnd]:
    """The last epoch of every stage, in order.

    Args:
        path: ``breakdown.parquet``.

    Raises:
        DamagedRecordError: if the file cannot be read or is not such a table.
    """
    with _Reader(path) as reader:
        epoch = reader.whole("epoch")
        if not len(epoch):
            return []
        stage = reader.whole("stage") if "stage" in reader.columns else np.zeros(len(epoch))
        # Rows stand in the order of training: an epoch, and so a stage, is one piece of the table.
        bounds = [*_starts(stage), len(stage)]
        pieces = []
        for begin, end in itertools.pairwise(bounds):
            first = begin + _starts(epoch[begin:end])[-1]
            pieces.append((int(stage[first]), int(epoch[first]), np.arange(first, end)))
        columns = [f"{kind}.{name}" for kind in ("raw", "weight") for name in reader.terms]
        table = reader.rows(columns, np.concatenate([rows for _, _, rows in pieces]))
        ends, read = [], 0
        for index, last, rows in pieces:
            ends.append(_stage_end(reader.terms, table.slice(read, len(rows)), index, last))
            read += len(rows)
        return ends


def epochs_from(path: Path, first: int) -> dict[int, EpochTerms]:
    """The terms of the recorded epochs, in order; of the file only those are read.

    Args:
        path: ``breakdown.parquet``.
        first: First epoch that is wanted.

    Raises:
        DamagedRecordError: if the file cannot be read or is not such a table.
    """
    with _Reader(path) as reader:
        epoch = reader.whole("epoch")
        rows = np.flatnonzero(epoch >= first)
        if not len(rows):
            return {}
        columns = [f"{kind}.{name}" for kind in ("raw", "weight") for name in reader.terms]
        table = reader.rows(columns + ["lr"] * ("lr" in reader.columns), rows)
        starts = _starts(epoch[rows])
        pieces = itertools.pairwise([*starts, len(rows)])
        return {
            int(epoch[rows[begin]]): _epoch_terms(reader.terms, table.slice(begin, end - begin))
            for begin, end in pieces
        }


def evolution(path: Path, *, max_bins: int = 300) -> Evolution | None:
    """The history of a run in at most about ``max_bins`` points, None if it has no rows yet.

    A bin holds whole epochs; only in a run of few epochs it holds a part of one.

    Raises:
        DamagedRecordError: if the file cannot be read or is not such a table.
    """
    with _Reader(path) as reader:
        epoch = reader.whole("epoch")
        if not len(epoch):
            return None
        step = reader.whole("step") if "step" in reader.columns else np.arange(len(epoch))
        stage = reader.whole("stage") if "stage" in reader.columns else np.zeros(len(epoch))
        position, starts = _bins(epoch, stage, max_bins)
        counts = np.diff(np.append(starts, len(epoch)))

        def mean(values: np.ndarray) -> np.ndarray:
            return np.asarray(np.add.reduceat(values, starts) / counts)

        weighted = {
            name: mean(reader.whole(f"raw.{name}") * reader.whole(f"weight.{name}"))
            for name in reader.terms
        }
        weights = {name: mean(reader.whole(f"weight.{name}")) for name in reader.terms}
        return Evolution(mean(position), mean(step), stage[starts].astype(int), weighted, weights)


def _bins(epoch: np.ndarray, stage: np.ndarray, max_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Position of every row in epochs, and the first row of every bin."""
    first = _starts(epoch)  # of each epoch
    sizes = np.diff(np.append(first, len(epoch)))
    n_epochs = len(first)
    position = epoch.astype(float)
    if n_epochs >= _FINE_EPOCHS:
        width = math.ceil(n_epochs / max_bins)
        starts = first[::width]
    else:
        within = (np.arange(len(epoch)) - np.repeat(first, sizes)) / np.repeat(sizes, sizes)
        position = position + within
        n_parts = max(1, min(_FINE_BINS, max_bins) // n_epochs)
        part = np.floor(within * n_parts)
        starts = np.flatnonzero(np.diff(part + n_parts * np.repeat(np.arange(n_epochs), sizes),
                                        prepend=-1))  # fmt: skip
    # A stage has its own terms and weights, so that no bin may hold two.
    return position, np.union1d(starts, _starts(stage))


def _starts(values: np.ndarray) -> np.ndarray:
    """Where a new value begins, the first row included."""
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])


def _stage_end(names: list[str], table: pa.Table, stage: int, epoch: int) -> StageEnd:
    weights, raw, weighted = {}, {}, {}
    for name in names:
        values, weight = table[f"raw.{name}"], table[f"weight.{name}"]
        if values.null_count == len(values):  # a term of another stage
            continue
        numbers = values.to_numpy().astype(float)
        weights[name] = float(weight[-1].as_py())
        raw[name] = float(numbers.mean())
        weighted[name] = float((numbers * weight.to_numpy()).mean())
    return StageEnd(stage, epoch, weights, raw, weighted)


def _epoch_terms(names: list[str], table: pa.Table) -> EpochTerms:
    weights, weighted = {}, {}
    for name in names:
        weight = table[f"weight.{name}"].drop_null()
        if not len(weight):  # a term of another stage
            continue
        weights[name] = float(weight[-1].as_py())
        values = table[f"raw.{name}"].to_numpy() * table[f"weight.{name}"].to_numpy()
        known = values[~np.isnan(values.astype(float))]  # a program may tell some steps only
        weighted[name] = float(known.mean()) if len(known) else 0.0
    lr = table["lr"].drop_null() if "lr" in table.column_names else []
    return EpochTerms(shares_of(weighted), weights, float(lr[-1].as_py()) if len(lr) else None)


class _Reader:
    """An open table whose faults are all one exception."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Reader:
        try:
            self._file = pq.ParquetFile(self._path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self._path, error) from error
        metadata = self._file.metadata
        self._group_ends = np.cumsum(
            [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        )
        self.columns: list[str] = self._file.schema_arrow.names
        self.terms = [
            name.removeprefix("raw.")
            for name in self.columns
            if name.startswith("raw.") and f"weight.{name.removeprefix('raw.')}" in self.columns
        ]
        if "epoch" not in self.columns:
            self._file.close()
            raise DamagedRecordError(f"{self._path}: has no column 'epoch'")
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._file.close()
        if isinstance(error, pa.ArrowException | OSError | ValueError | TypeError):
            raise damaged(self._path, error) from error

    def whole(self, column: str) -> np.ndarray:
        """All values of one column; a missing one is NaN."""
        return np.asarray(self._file.read([column], use_threads=False)[column].to_numpy())

    def rows(self, columns: list[str], rows: np.ndarray) -> pa.Table:
        """Some rows of some columns; of the file only the row groups that hold them are read."""
        group_of = np.searchsorted(self._group_ends, rows, side="right")
        groups = np.unique(group_of)
        # Rows before each group in the file, and in what is read.
        sizes = np.diff(self._group_ends, prepend=0)
        in_file = self._group_ends - sizes
        in_read = np.zeros(len(sizes), dtype=int)
        in_read[groups] = np.cumsum(sizes[groups]) - sizes[groups]
        table = self._file.read_row_groups(groups.tolist(), columns, use_threads=False)
        return table.take(rows - in_file[group_of] + in_read[group_of])
