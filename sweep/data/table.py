"""Configurations as flat arrays, in memory or mapped from a file. Imports no torch.

50,000 configurations as Python objects take a gigabyte and seconds to walk over; as a few dozen
arrays they take a tenth of that, nothing at all where they are mapped, and statistics are single
expressions. The columns of a :class:`Columns`, for ``G`` configurations with ``N`` atoms:

| column | shape | |
|---|---|---|
| `n_atoms` | [G] | |
| `cell`, `pbc`, `weight` | [G, 3, 3], [G, 3], [G] | as in a `Configuration` |
| `config_type`, `file_number` | [G] | number of a name in `config_types` or `files` |
| `index` | [G] | number of the configuration in its file |
| weights in `sweep.data.labels` | [G, ...] | per property |
| `atomic_numbers`, `positions` | [N], [N, 3] | |
| `molecule_index` | [N] | molecules of the configuration, 0 to M - 1 |
| labels in `sweep.data.labels` | [G, ...] or [N, ...] | zeros where missing |
| `has.<label>` | [G] | whether the configuration has it |
| `n_multipoles` | [G] | columns of its multipoles; 0 without |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sweep.data.labels import LABELS, WEIGHTS
from sweep.data.read.configurations import Configuration

__all__ = ["Columns", "Table", "flatten", "tabulate"]

Array = NDArray[Any]

_MULTIPOLES = "density_coefficients"


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of this module's table.

    Attributes:
        arrays: by name.
        files: names of the files.
        config_types: names of the types.
        folder: where in the cache they are mapped from; None where they are in memory.
    """

    arrays: Mapping[str, Array]
    files: tuple[str, ...]
    config_types: tuple[str, ...]
    folder: Path | None = None

    def __len__(self) -> int:
        """Number of configurations."""
        return len(self.arrays["n_atoms"])

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """First atom of each configuration, and at the end the number of all atoms."""
        return np.concatenate([[0], np.cumsum(self.arrays["n_atoms"])])

    def configuration(self, row: int) -> Configuration:
        """One configuration, whose arrays are views."""
        start, stop = self.first[row : row + 2]
        arrays = self.arrays
        labels = {}
        for key, label in LABELS.items():
            if key in arrays and arrays[f"has.{key}"][row]:
                labels[key] = arrays[key][start:stop] if label.per_atom else arrays[key][row, ...]
        if _MULTIPOLES in labels:
            labels[_MULTIPOLES] = labels[_MULTIPOLES][:, : int(arrays["n_multipoles"][row])]
        return Configuration(
            atomic_numbers=arrays["atomic_numbers"][start:stop],
            positions=arrays["positions"][start:stop],
            cell=arrays["cell"][row],
            pbc=arrays["pbc"][row],
            labels=labels,
            weights={key: arrays[key][row, ...] for key in WEIGHTS},
            weight=float(arrays["weight"][row]),
            config_type=self.config_types[arrays["config_type"][row]],
            file=self.files[arrays["file_number"][row]],
            index=int(arrays["index"][row]),
        )


class Table(Sequence[Configuration]):
    """Some of the configurations of a :class:`Columns`, in an order of their own.

    Args:
        columns: where they are.
        rows: which of them; all if None.
    """

    def __init__(self, columns: Columns, rows: NDArray[np.int64] | None = None) -> None:
        self.columns = columns
        self._whole = rows is None
        self.rows = np.arange(len(columns)) if rows is None else rows

    def __len__(self) -> int:
        """Number of configurations."""
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Configuration: ...

    @overload
    def __getitem__(self, index: slice) -> Table: ...

    def __getitem__(self, index: int | slice) -> Configuration | Table:
        if isinstance(index, slice):
            return Table(self.columns, self.rows[index])
        return self.columns.configuration(int(self.rows[index]))

    def over(self, columns: Columns) -> Table:
        """The same rows of other columns."""
        return Table(columns, None if self._whole else self.rows)

    def take(self, indices: Array) -> Table:
        """The configurations of these numbers, or where a mask is true."""
        return Table(self.columns, self.rows[indices])

    def graphs(self, name: str) -> Array:
        """A column with one row per configuration."""
        column = self.columns.arrays[name]
        return column if self._whole else column[self.rows]

    def atoms(self, name: str) -> Array:
        """A column with one row per atom."""
        column = self.columns.arrays[name]
        return column if self._whole else column[self._atom_rows]

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """Atoms of each configuration."""
        return self.graphs("n_atoms")

    @property
    def graph_of_atom(self) -> NDArray[np.int64]:
        """Number of the configuration of each atom."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    @property
    def periodic(self) -> NDArray[np.bool_]:
        """Which configurations repeat along any of their cell's vectors."""
        return np.asarray(self.graphs("pbc").any(axis=1))

    def has(self, label: str) -> NDArray[np.bool_]:
        """Which configurations have a label."""
        name = f"has.{label}"
        known = name in self.columns.arrays
        return self.graphs(name) if known else np.zeros(len(self), dtype=np.bool_)

    def of_type(self, config_type: str) -> NDArray[np.bool_]:
        """Which configurations are of a ``config_type``."""
        names = self.columns.config_types
        number = names.index(config_type) if config_type in names else -1
        return np.equal(self.graphs("config_type"), number, dtype=np.bool_)

    def element_counts(self, elements: Sequence[int]) -> NDArray[np.int64]:
        """Number of atoms of each element in each configuration, ``[G, n_elements]``."""
        numbers, graph = self.atoms("atomic_numbers"), self.graph_of_atom
        counts = [np.bincount(graph[numbers == z], minlength=len(self)) for z in elements]
        return np.column_stack(counts)

    def where(self, index: int) -> str:
        """The place of a configuration, for messages."""
        return self[index].where

    @property
    def _atom_rows(self) -> NDArray[np.int64]:
        first = np.cumsum(self.n_atoms) - self.n_atoms
        shift: NDArray[np.int64] = self.columns.first[self.rows] - first
        return np.arange(int(self.n_atoms.sum())) + np.repeat(shift, self.n_atoms)


def tabulate(configurations: Sequence[Configuration]) -> Table:
    """The configurations as a table; one that is a table already is returned as it is."""
    if isinstance(configurations, Table):
        return configurations
    keys = {key for configuration in configurations for key in configuration.labels}
    return Table(flatten(configurations, [key for key in LABELS if key in keys]))


def flatten(configurations: Iterable[Configuration], labels: Iterable[str]) -> Columns:
    """Copy configurations into columns.

    Args:
        configurations: in the order of the rows.
        labels: keys of the labels that get a column, and with it ``has.<label>``.
    """
    rows = list(configurations)
    files, types = _Names(), _Names()
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    arrays: dict[str, Array] = {
        "n_atoms": sizes,
        "cell": _stack([row.cell for row in rows], (3, 3), np.float64),
        "pbc": _stack([row.pbc for row in rows], (3,), np.bool_),
        "weight": np.array([row.weight for row in rows], dtype=np.float64),
        "config_type": np.array([types.number(row.config_type) for row in rows], dtype=np.int64),
        "file_number": np.array([files.number(row.file) for row in rows], dtype=np.int64),
        "index": np.array([row.index for row in rows], dtype=np.int64),
        "atomic_numbers": _join([row.atomic_numbers for row in rows], (), np.int64),
        "positions": _join([row.positions for row in rows], (3,), np.float64),
        "n_multipoles": np.array([_n_multipoles(row) for row in rows], dtype=np.int64),
    }
    for key, weight in WEIGHTS.items():
        arrays[key] = _stack([row.weights[key] for row in rows], weight.shape, np.float64)
    width = int(arrays["n_multipoles"].max(initial=0))
    for key in labels:
        label = LABELS[key]
        dtype = np.int64 if label.integer else np.float64
        arrays[f"has.{key}"] = np.array([key in row.labels for row in rows], dtype=np.bool_)
        sizes_of = {"C": width}
        shape = tuple(sizes_of.get(s, 0) if isinstance(s, str) else s for s in label.shape)
        if label.per_atom:
            tail = shape[1:]
            parts = [
                _padded(row.labels[key], tail) if key in row.labels
                else np.zeros((len(row), *tail), dtype)
                for row in rows
            ]  # fmt: skip
            arrays[key] = _join(parts, tail, dtype)
        else:
            missing = np.zeros(shape, dtype)
            arrays[key] = _stack([row.labels.get(key, missing) for row in rows], shape, dtype)
    arrays["molecule_index"] = _join([_molecules(row) for row in rows], (), np.int64)
    return Columns(arrays, tuple(files), tuple(types))


class _Names(dict[str, int]):
    """Numbers names in the order of their first appearance."""

    def number(self, name: str) -> int:
        return self.setdefault(name, len(self))


def _molecules(configuration: Configuration) -> Array:
    """Molecule numbers without gaps; without the label all atoms belong to one."""
    numbers = configuration.labels.get("cluster_batch")
    if numbers is None:
        return np.zeros(len(configuration), dtype=np.int64)
    dense: Array = np.unique(numbers, return_inverse=True)[1]
    return dense


def _n_multipoles(configuration: Configuration) -> int:
    multipoles = configuration.labels.get(_MULTIPOLES)
    return 0 if multipoles is None else int(multipoles.shape[1])


def _padded(values: Array, tail: tuple[int, ...]) -> Array:
    """Multipoles with fewer columns than the widest of the table get zeros."""
    if values.shape[1:] == tail:
        return values
    wide = np.zeros((len(values), *tail), values.dtype)
    wide[:, : values.shape[1]] = values
    return wide


def _stack(values: list[Array], shape: tuple[int, ...], dtype: type) -> Array:
    return np.array(values, dtype=dtype).reshape(len(values), *shape)


def _join(values: list[Array], tail: tuple[int, ...], dtype: type) -> Array:
    return np.concatenate([np.zeros((0, *tail), dtype), *values])
