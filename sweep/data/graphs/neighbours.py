"""Neighbour lists of many configurations as flat arrays, made once and kept in the cache.

The columns, for ``G`` configurations with ``E`` edges, ``P`` of them in periodic configurations:

| column | shape | |
|---|---|---|
| `n_edges` | [G] | |
| `n_with_neighbours` | [G] | atoms that have any |
| `edge_index` | [E, 2] | sender and receiver within the configuration |
| `shifts`, `unit_shifts` | [P, 3] | Å; in units of the cell; left out in molecules: zeros |
| `graph_cell` | [G, 3, 3] | what has no cell of three vectors: mace-torch's large one |

The lists are those of mace-torch, in the same order, but importing it would bring torch into every
process that searches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.cache import cached, opened, write_meta
from sweep.data.cells import has_volume
from sweep.data.parallel import Report, in_processes, join, save_part
from sweep.data.read.configurations import Configuration
from sweep.data.table import Columns, Table
from sweep.errors import InputError

__all__ = ["Neighbours", "neighbours_in_cache", "neighbours_of"]

Array = NDArray[Any]

FAR = 30.0  # Å from the origin; a molecule beyond is moved there to search its neighbours
CLOSEST = 0.1  # Å; two atoms nearer than that are one atom written twice
_PART = 512  # configurations


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The columns of this module's table by name, one row of ``[G]`` per configuration."""

    arrays: Mapping[str, Array]

    @cached_property
    def first_edge(self) -> NDArray[np.int64]:
        """First edge of each configuration."""
        return _starts(self.arrays["n_edges"])

    def first_shift(self, periodic: NDArray[np.bool_]) -> NDArray[np.int64]:
        """First row of ``shifts`` of each configuration; only ``periodic`` ones have any."""
        return _starts(np.where(periodic, self.arrays["n_edges"], 0))

    def take(self, rows: NDArray[np.int64], periodic: NDArray[np.bool_]) -> Neighbours:
        """Those of some of the configurations, in the order of ``rows``, copied.

        Args:
            rows: numbers of configurations.
            periodic: which ones of all configurations are.
        """
        arrays = self.arrays
        n_edges = arrays["n_edges"][rows]
        edge = _ranges(self.first_edge[rows], n_edges)
        n_shifts = np.where(periodic[rows], n_edges, 0)
        shift = _ranges(self.first_shift(periodic)[rows], n_shifts)
        whole = {name: arrays[name][rows] for name in _PER_CONFIGURATION}
        return Neighbours(
            {
                **whole,
                "edge_index": arrays["edge_index"][edge],
                "shifts": arrays["shifts"][shift],
                "unit_shifts": arrays["unit_shifts"][shift],
            }
        )


_PER_CONFIGURATION = ("n_edges", "n_with_neighbours", "graph_cell")


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    starts: NDArray[np.int64] = np.cumsum(sizes) - sizes
    return starts


def _ranges(first: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers from each ``first`` on, ``sizes`` of them, one after the other."""
    return np.arange(int(sizes.sum())) + np.repeat(first - _starts(sizes), sizes)


def neighbours_of(table: Table, r_max: float) -> Neighbours:
    """Search the neighbours of the configurations of a table, in its order.

    Args:
        table: any.
        r_max: cutoff, Å.

    Raises:
        InputError: two atoms at the same place.
    """
    return Neighbours(_search(iter(table), r_max))


def neighbours_in_cache(columns: Columns, r_max: float, report: Report) -> Neighbours:
    """The neighbours of all configurations of a cached file, searched in several processes once.

    Args:
        columns: with their folder in the cache.
        r_max: cutoff, Å.
        report: is told how far it is.

    Raises:
        InputError: two atoms at the same place, or the cache cannot be written.
    """
    folder = columns.folder
    if folder is None:
        raise ValueError("these columns are not in a cache")

    def build(target: Path) -> None:
        total = len(columns)
        file = columns.files[0]
        place = file if len(columns.files) == 1 else Path(file).parent
        tasks = (
            _Task(folder, columns.files, start, r_max, target / f"part{start}.npz")
            for start in range(0, total, _PART)
        )
        paths: list[Path] = []
        tails: dict[str, tuple[int, ...]] = {}
        for path, shapes in in_processes(_search_part, tasks):
            paths.append(path)
            tails = shapes
            report(f"searching neighbours in {place}", min(len(paths) * _PART, total), total)
        write_meta(target, join(paths, tails, target), {})

    return Neighbours(cached(folder, "neighbours", {"r_max": r_max}, build).arrays)


@dataclass(frozen=True)
class _Task:
    """The configurations from ``start`` on of an entry of the cache."""

    folder: Path
    files: tuple[str, ...]
    start: int
    r_max: float
    path: Path


def _search_part(task: _Task) -> tuple[Path, dict[str, tuple[int, ...]]]:
    entry = opened(task.folder)
    if entry is None:
        raise InputError(f"cache_dir: {task.folder}: removed while it was read")
    columns = Columns(entry.arrays, task.files, tuple(entry.notes["config_types"]))
    part = Table(columns)[task.start : task.start + _PART]
    return task.path, save_part(task.path, _search(iter(part), task.r_max))


def _search(configurations: Iterator[Configuration], r_max: float) -> dict[str, Array]:
    edges, shifts, unit_shifts, cells, counts = [], [], [], [], []
    for configuration in configurations:
        edge_index, shift, unit_shift, cell = _neighbours(configuration, r_max)
        edges.append(edge_index.astype(np.int32))
        if configuration.periodic:
            shifts.append(shift)
            unit_shifts.append(unit_shift.astype(np.int32))
        cells.append(cell)
        counts.append((len(edge_index), len(np.unique(edge_index[:, 1]))))
    table = np.array(counts, dtype=np.int64).reshape(-1, 2)
    return {
        "n_edges": table[:, 0].copy(),
        "n_with_neighbours": table[:, 1].copy(),
        "edge_index": np.concatenate([np.zeros((0, 2), np.int32), *edges]),
        "shifts": np.concatenate([np.zeros((0, 3)), *shifts]),
        "unit_shifts": np.concatenate([np.zeros((0, 3), np.int32), *unit_shifts]),
        "graph_cell": np.array(cells, dtype=np.float64).reshape(-1, 3, 3),
    }


def _neighbours(configuration: Configuration, r_max: float) -> tuple[Array, Array, Array, Array]:
    """``edge_index`` [E, 2], ``shifts`` and ``unit_shifts`` [E, 3], and the cell of the graph."""
    from matscipy.neighbours import neighbour_list

    positions, pbc = configuration.positions, configuration.pbc
    # The cell grows with the distance from the origin, and all of it is searched: at 100 Å that
    # takes a second, further out minutes.
    far = not configuration.periodic and np.abs(positions).max() > FAR
    searched = positions - positions.mean(axis=0) if far else positions
    box = configuration.cell.copy()
    length = (np.abs(searched).max() + 1) * 5 * r_max  # as in mace-torch, to the last bit
    box[~pbc] = length * np.eye(3)[~pbc]
    sender, receiver, images = neighbour_list(
        "ijS", positions=searched, cell=box, pbc=pbc, cutoff=r_max
    )
    others = (sender != receiver) | images.any(axis=1)  # an atom's own image is a neighbour
    edge_index = np.column_stack([sender, receiver])[others]
    unit_shifts = images[others]
    shifts = np.dot(unit_shifts, box)
    ends = positions[edge_index]
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0] + shifts, axis=1)
    if lengths.size and lengths.min() < CLOSEST:
        i, j = edge_index[lengths.argmin()]
        raise InputError(
            f"{configuration.where}: atoms {i} and {j} are {lengths.min():.3f} Å apart"
        )
    cell = configuration.cell if has_volume(configuration.cell) else box
    return edge_index, shifts, unit_shifts, cell
