"""The tables of a trial: one growing parquet file each, cut back to the last finished epoch.

A table is written whole at every epoch: the file is always complete and readable by any tool. The
cost grows with the rows written so far; ``tests/benchmarks/bench_recording.py`` measures it at two
sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from sweep.errors import DamagedRecordError
from sweep.files import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BALANCE", "BREAKDOWN", "METRICS", "Table", "damaged", "geometric_means", "last_epoch",
           "read_table"]  # fmt: skip

# The tables of a trial; their columns are described by the methods of :class:`Trial`.
BREAKDOWN = "breakdown.parquet"
METRICS = "metrics.parquet"
BALANCE = "balance.parquet"

# Rows that are read together: reports want the last epoch, not the whole file.
_GROUP_ROWS = 16_384
# Of the floating-point columns only these repeat their values; for the others a dictionary of all
# values makes the file a third larger and twice as slow to write.
_REPEATING = ("weight.", "lr")


class Table:
    """Rows with an ``epoch`` column, in memory and in a parquet file.

    Args:
        path: The parquet file; it is read when it is there.
        last_epoch: Rows of later epochs are dropped: they belong to an epoch that did not finish.

    Raises:
        DamagedRecordError: if the file is damaged.
    """

    def __init__(self, path: Path, *, last_epoch: int) -> None:
        self.path = path
        self._data: pa.Table | None = None
        if path.exists():
            content = path.read_bytes()  # a disk that cannot be read is no damaged file
            try:
                data = pq.read_table(pa.BufferReader(content))
                self._data = data.filter(pa.compute.less_equal(data["epoch"], last_epoch))
            except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
                raise damaged(path, error) from error

    def __len__(self) -> int:
        return 0 if self._data is None else int(self._data.num_rows)

    def columns(self, prefix: str, epochs: tuple[int, int]) -> dict[str, np.ndarray]:
        """The columns whose name begins so, in some epochs, without their prefix and null rows.

        Args:
            prefix: Of their names.
            epochs: First and last, both included.
        """
        if self._data is None:
            return {}
        epoch = self._data["epoch"].to_numpy()
        rows = self._data.filter(pa.array((epochs[0] <= epoch) & (epoch <= epochs[1])))
        return {
            name.removeprefix(prefix): rows[name].drop_null().to_numpy()
            for name in rows.column_names
            if name.startswith(prefix)
        }

    def drop(self, column: str, value: str) -> None:
        """Drop the rows whose ``column`` is ``value``.

        Raises:
            DamagedRecordError: if there is no such column.
        """
        if self._data is not None:
            if column not in self._data.column_names:
                raise DamagedRecordError(f"{self.path}: has no column '{column}'")
            self._data = self._data.filter(pa.compute.not_equal(self._data[column], value))

    def append(self, columns: Mapping[str, np.ndarray | Sequence[Any]]) -> None:
        """Add rows given as columns; a column that is new or absent is null elsewhere."""
        rows = pa.table(dict(columns))
        if self._data is None:
            self._data = rows
        else:
            self._data = pa.concat_tables([self._data, rows], promote_options="permissive")

    def write(self, check: Callable[[], None] = lambda: None) -> None:
        """Write the table; readers see the old one or the new one.

        Args:
            check: See :func:`sweep.files.replacing`.
        """
        if self._data is not None:
            # Many small chunks would make every later epoch slower to write.
            self._data = self._data.combine_chunks()
            repeating = [
                field.name
                for field in self._data.schema
                if not pa.types.is_floating(field.type) or field.name.startswith(_REPEATING)
            ]
            with replacing(self.path, check=check) as temporary:
                pq.write_table(
                    self._data, temporary, row_group_size=_GROUP_ROWS, use_dictionary=repeating
                )


def geometric_means(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Geometric mean of the values above 0 of every column; 0 where there is none.

    Args:
        columns: Such as the weights that acted, which are 0 while a term is off.
    """
    on = {name: values[values > 0] for name, values in columns.items() if len(values)}
    return {
        name: float(np.exp(np.log(values).mean())) if len(values) else 0.0
        for name, values in on.items()
    }


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table of a trial; one without rows and columns if it is not there yet.

    Args:
        path: The parquet file.
        columns: Those that are wanted; None for all.

    Raises:
        DamagedRecordError: if it cannot be read, or lacks a wanted column.
    """
    import pandas as pd

    if not path.exists():
        return pd.DataFrame()
    try:
        wanted = None if columns is None else list(columns)
        table: pd.DataFrame = pq.read_table(path, columns=wanted, use_threads=False).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error
    missing = [name for name in columns or () if name not in table]
    if missing:
        raise DamagedRecordError(f"{path}: has no column '{missing[0]}'")
    return table


def last_epoch(path: Path) -> int | None:
    """The last epoch in a table, from its footer; None if it is not there or does not tell.

    Raises:
        DamagedRecordError: if it cannot be read.
    """
    if not path.exists():
        return None
    try:
        footer = pq.read_metadata(path)
        column = footer.schema.names.index("epoch")
        groups = [footer.row_group(i).column(column) for i in range(footer.num_row_groups)]
        ends = [group.statistics.max for group in groups if group.is_stats_set]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error
    return max(ends, default=None)


def damaged(path: Path, error: BaseException) -> DamagedRecordError:
    """The error of a table that cannot be read, in one line."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DamagedRecordError(f"{path}: damaged ({reason})")
