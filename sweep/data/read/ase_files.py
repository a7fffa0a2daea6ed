"""Files of ASE: trajectories (``.traj``) and SQLite databases (``.db``). Imports no torch.

Values of a calculator have ASE's names (``energy``, ``forces``, ``stress``); map them by these.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from sweep.data.read.extxyz import Frame
from sweep.errors import InputError

__all__ = ["ase_chunks"]

_PER_ATOM = ("forces", "charges", "energies", "stresses", "magmoms")


@dataclass(frozen=True)
class _AseChunk:
    """Configurations of a file; ``first`` is the number of the first, ``ids`` those of rows."""

    file: str
    ids: tuple[int, ...]
    first: int
    own_names: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self) -> Iterator[Frame]:
        with _open(self.file) as opened:
            for number, own in enumerate(self.ids):
                index = self.first + number
                try:
                    yield opened.frame(own, index)
                # Whatever ASE raises on damaged content: there is no common base.
                except Exception as error:
                    raise InputError(
                        f"{self.file}: configuration {index} is not readable: "
                        f"{type(error).__name__}: {str(error).strip() or 'damaged'}"
                    ) from error


def ase_chunks(file: str, size: int) -> Iterator[_AseChunk]:
    """Cut a file into parts.

    Raises:
        InputError: it is no such file of ASE.
    """
    with _open(file) as opened:
        ids = opened.ids
    for start in range(0, len(ids), size):
        yield _AseChunk(file, tuple(ids[start : start + size]), start)


class _Trajectory:
    def __init__(self, file: str) -> None:
        from ase.io.trajectory import TrajectoryReader

        with contextlib.ExitStack() as stack:  # closed where ASE does not know the file
            stream = stack.enter_context(Path(file).open("rb"))
            self._reader = TrajectoryReader(stream)
            self._stack = stack.pop_all()
        self.ids = list(range(len(self._reader)))

    def __enter__(self) -> _Trajectory:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._stack.close()

    def frame(self, own: int, index: int) -> Frame:
        atoms = self._reader[own]
        results = {} if atoms.calc is None else atoms.calc.results
        return _frame(atoms, atoms.info, results, index)


class _Database:
    def __init__(self, file: str) -> None:
        from ase.db.sqlite import SQLite3Database

        # ASE would make a database of whatever file it opens
        with contextlib.closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True)) as opened:
            opened.execute("select id from systems limit 1")
        self._database = SQLite3Database(file, create_indices=False, use_lock_file=False)
        self.ids = [row.id for row in self._database.select(columns=["id"], include_data=False)]

    def __enter__(self) -> _Database:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def frame(self, own: int, index: int) -> Frame:
        row = self._database[own]
        names = ("energy", "free_energy", "forces", "stress", "dipole", "charges", "magmoms")
        results = {name: row[name] for name in names if name in row}
        return _frame(row.toatoms(), {**row.data, **row.key_value_pairs}, results, index)


def _open(file: str) -> Any:
    kind = _Database if file.lower().endswith(".db") else _Trajectory
    try:
        return kind(file)
    # ASE raises assertions, key errors and those of sqlite3 on files of another kind.
    except Exception as error:
        what = "ASE database" if kind is _Database else "ASE trajectory"
        raise InputError(
            f"{file}: not readable as an {what}: {str(error).strip() or type(error).__name__}"
        ) from error


def _frame(atoms: Any, info: dict[str, Any], results: dict[str, Any], index: int) -> Frame:
    arrays = {
        k: np.asarray(v) for k, v in atoms.arrays.items() if k not in ("numbers", "positions")
    }
    values = dict(info)
    for name, value in results.items():
        (arrays if name in _PER_ATOM else values)[name] = np.asarray(value)
    # data of a database hold arrays of either kind
    for name, value in list(values.items()):
        if isinstance(value, np.ndarray) and value.ndim and len(value) == len(atoms):
            arrays.setdefault(name, value)
    return Frame(
        index=index,
        numbers=np.asarray(atoms.numbers, dtype=np.int64),
        positions=np.asarray(atoms.positions, dtype=np.float64),
        cell=np.array(atoms.cell, dtype=np.float64),
        pbc=np.array(atoms.pbc, dtype=np.bool_),
        info=values,
        arrays=arrays,
    )
