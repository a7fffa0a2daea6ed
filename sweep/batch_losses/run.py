"""The weighted terms of one run, batch by batch, from a debug log or a trial's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sweep.batch_losses.curves import Curves
from sweep.errors import InputError
from sweep.files import read_json

__all__ = ["BatchLosses", "Range", "Stage", "from_trial", "read_stages"]

_ROWS = 65536  # of a parquet file that are in memory at once


@dataclass(frozen=True)
class Stage:
    """A stage of the schedule: its name and its first epoch."""

    name: str
    start: int


@dataclass(frozen=True)
class Range:
    """The epochs to read, both ends included; None: no limit."""

    first: int | None = None
    last: int | None = None

    def holds(self, epoch: int) -> bool:
        """Whether an epoch is to be read."""
        return (self.first is None or epoch >= self.first) and (
            self.last is None or epoch <= self.last
        )

    def __str__(self) -> str:
        """As in a sentence."""
        if self.first is not None and self.last is not None:
            return f"epochs {self.first} to {self.last}"
        if self.last is not None:
            return f"epochs up to {self.last}"
        return f"epochs from {self.first}"


@dataclass
class BatchLosses:
    """What a figure of one run needs; its size does not grow with the run.

    Attributes:
        title: Name of the run.
        curves: The weighted terms over the training batches.
        epochs: Every epoch and its first batch.
        marks: Batches at which a stage starts, or a training that was started again, and its name.
        notes: What the reader did that the user should know.
    """

    title: str
    curves: Curves = field(default_factory=Curves)
    epochs: list[tuple[int, int]] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _seen: tuple[int, int] | None = None
    _batches: int = 0
    _stage: str | None = None

    def add(
        self,
        epoch: int,
        names: Sequence[str],
        values: np.ndarray,
        wanted: Range,
        stages: Sequence[Stage],
    ) -> None:
        """Add the training batches of one epoch, or a part of them.

        Args:
            epoch: Their epoch.
            names: The terms.
            values: Weighted values, shape [n_batches, n_terms].
            wanted: Batches of other epochs are counted but not kept.
            stages: The schedule, to mark where a stage begins.
        """
        if len(values) == 0:
            return
        first = self._batches
        self._batches += len(values)
        low, high = self._seen or (epoch, epoch)
        self._seen = min(low, epoch), max(high, epoch)
        if not wanted.holds(epoch):
            return
        if not self.epochs or self.epochs[-1][0] != epoch:
            self.epochs.append((epoch, first))
        stage = next((s.name for s in reversed(stages) if s.start <= epoch), None)
        if stage is not None and stage != self._stage:
            self.marks.append((first, stage))
            self._stage = stage
        self.curves.add(names, first, values)

    def started_again(self) -> None:
        """Note that another run of the same training follows in the file."""
        if self._batches and self.curves.last_step == self._batches - 1:
            self.marks.append((self._batches, "restart"))

    def check(self, path: Path, wanted: Range) -> None:
        """Raise InputError, naming the file, if there is nothing to draw."""
        if self._seen is None:
            raise InputError(f"{path}: holds no 'loss breakdown' of a training batch")
        if not self.curves.names:
            low, high = self._seen
            raise InputError(f"{path}: has no {wanted}; it holds epochs {low} to {high}")


def from_trial(folder: Path, wanted: Range) -> BatchLosses:
    """Read ``breakdown.parquet`` of a trial's folder, a piece at a time.

    Terms whose weight is 0 in a stage are left out there: they were not evaluated.

    Raises:
        InputError: if the table is absent, damaged or empty.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "breakdown.parquet"
    if not path.is_file():
        raise InputError(f"{folder}: has no breakdown.parquet; the trial has finished no epoch yet")
    run = BatchLosses(title=_trial_title(folder))
    stages = read_stages(folder / "trial.json")
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            names = [c.removeprefix("raw.") for c in columns if c.startswith("raw.")]
            needed = ["epoch", *(f"{kind}.{n}" for kind in ("raw", "weight") for n in names)]
            for batch in file.iter_batches(_ROWS, columns=needed):
                _add_rows(run, batch, names, wanted, stages)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{path}: damaged ({str(error).splitlines()[0]})") from error
    run.check(path, wanted)
    return run


def _add_rows(
    run: BatchLosses, batch: Any, names: Sequence[str], wanted: Range, stages: Sequence[Stage]
) -> None:
    table = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
    epochs = table["epoch"]
    edges = [0, *(np.flatnonzero(np.diff(epochs)) + 1).tolist(), len(epochs)]
    for start, stop in pairwise(edges):
        # The weights of an epoch are those of its stage.
        weights = {name: float(table[f"weight.{name}"][start]) for name in names}
        active = [name for name, weight in weights.items() if weight > 0 and math.isfinite(weight)]
        values = [weights[n] * table[f"raw.{n}"][start:stop].astype(float) for n in active]
        if active:
            run.add(int(epochs[start]), active, np.stack(values, axis=1), wanted, stages)


def read_stages(path: Path) -> list[Stage]:
    """The stages that a ``trial.json`` tells; none if it cannot be read."""
    try:
        stages = read_json(path)["stages"]
        return [Stage(str(stage["name"]), int(stage["start"])) for stage in stages]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _trial_title(folder: Path) -> str:
    folder = folder.resolve()
    if folder.parent.name == "trials":
        return f"{folder.parent.parent.name}, trial {folder.name}"
    return folder.name
