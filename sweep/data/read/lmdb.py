"""LMDB files with ASE rows, as MACE and fairchem write them. Imports no torch.

Each entry is the JSON text of one ASE database row, compressed by zlib, under its number from 1;
``nextid`` and ``deleted_ids`` say which numbers there are. Arrays and values that ASE's rows have
no place for stand in ``data`` under ``__arrays__`` and ``__info__``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep.data.read.extxyz import Frame
from sweep.data.read.lmdb_check import check_lmdb
from sweep.errors import InputError

__all__ = ["lmdb_chunks"]

_PER_CONFIGURATION = ("energy", "free_energy", "stress", "dipole")
_PER_ATOM = ("forces", "charges")


@dataclass(frozen=True)
class _LmdbChunk:
    """Rows of a file by their numbers; ``first`` is the number of the first configuration."""

    file: str
    ids: tuple[int, ...]
    first: int
    own_names: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self) -> Iterator[Frame]:
        with _Reader(self.file) as reader:
            for number, row in enumerate(self.ids):
                index = self.first + number
                try:
                    yield _frame(reader.read(str(row)), index)
                except (KeyError, TypeError, ValueError) as error:
                    raise InputError(
                        f"{self.file}: configuration {index} (row {row}) is not an ASE row: {error}"
                    ) from error


def lmdb_chunks(file: str, size: int) -> Iterator[_LmdbChunk]:
    """Cut a file into parts.

    Raises:
        InputError: it is no LMDB file of ASE rows.
    """
    check_lmdb(file)
    with _Reader(file) as reader:
        try:
            deleted = set(reader.read("deleted_ids", default=[]))
            ids = [row for row in range(1, reader.read("nextid")) if row not in deleted]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: not an LMDB file of ASE rows: no {error}") from error
    for start in range(0, len(ids), size):
        yield _LmdbChunk(file, tuple(ids[start : start + size]), start)


class _Reader:
    """An open file."""

    def __init__(self, file: str) -> None:
        import lmdb

        try:
            self._environment = lmdb.open(file, subdir=False, readonly=True, lock=False)
        except lmdb.Error as error:
            raise InputError(f"{file}: not readable as an LMDB file: {error}") from error
        self._transaction = self._environment.begin()

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._transaction.abort()
        self._environment.close()

    def read(self, key: str, *, default: Any = None) -> Any:
        """The decoded value of a key.

        Raises:
            KeyError: it is not there, and there is no default.
            ValueError: it is not compressed JSON.
        """
        import lmdb

        try:
            raw = self._transaction.get(key.encode("ascii"))
        except lmdb.Error as error:  # damaged inside
            raise ValueError(str(error)) from error
        if raw is None:
            if default is None:
                raise KeyError(key)
            return default
        try:
            return json.loads(zlib.decompress(raw), object_hook=_array)
        except zlib.error as error:
            raise ValueError(str(error)) from error


def _array(value: dict[str, Any]) -> Any:
    """ASE writes an array as its shape, type and numbers."""
    if "__ndarray__" not in value:
        return value
    shape, dtype, flat = value["__ndarray__"]
    return np.asarray(flat, dtype=dtype).reshape(shape)


def _frame(row: dict[str, Any], index: int) -> Frame:
    data = dict(row.get("data") or {})
    arrays = {name: np.asarray(value) for name, value in data.pop("__arrays__", {}).items()}
    further = data.pop("__info__", {})
    info = {**data, **(row.get("key_value_pairs") or {}), **further}
    # what a calculator found; its per-atom values are also repeated in data
    for name in _PER_CONFIGURATION:
        if row.get(name) is not None:
            info[name] = row[name]
    for name in _PER_ATOM:
        info.pop(name, None)
        if row.get(name) is not None:
            arrays[name] = np.asarray(row[name])
    return Frame(
        index=index,
        numbers=np.asarray(row["numbers"], dtype=np.int64),
        positions=np.asarray(row["positions"], dtype=np.float64).reshape(-1, 3),
        cell=np.asarray(row["cell"], dtype=np.float64).reshape(3, 3),
        pbc=np.asarray(row["pbc"], dtype=np.bool_),
        info=info,
        arrays=arrays,
    )
