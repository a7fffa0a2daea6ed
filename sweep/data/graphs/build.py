"""From configurations to graphs: neighbour lists and tensors of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.graphs.arrays import (
    ATOM_COLUMNS,
    GRAPH_COLUMNS,
    MULTIPOLES,
    graph_sizes,
    no_label,
)
from sweep.data.graphs.graphs import Graphs
from sweep.data.graphs.mapped import MappedGraphs
from sweep.data.graphs.neighbours import Neighbours, neighbours_in_cache, neighbours_of
from sweep.data.labels import LABELS
from sweep.data.parallel import Report, silent
from sweep.data.read.configurations import Configuration
from sweep.data.statistics import check_multipoles
from sweep.data.table import Table, tabulate
from sweep.errors import InputError

__all__ = ["build_graphs"]

Array = NDArray[Any]

RESIDENT = 2**30
"""Bytes of a set from the cache up to which a GPU holds all of it; on the host it stays mapped."""


def build_graphs(
    configurations: Sequence[Configuration],
    *,
    r_max: float,
    elements: Sequence[int],
    multipoles_max_l: int,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    report: Report = silent,
) -> Graphs:
    """Neighbour lists and tensors of configurations.

    Args:
        configurations: any split.
        r_max: cutoff of the neighbour list, Å.
        elements: atomic numbers in ascending order, the columns of ``node_attrs``.
        multipoles_max_l: of the model; files with further columns are cut.
        dtype: of the floating-point tensors.
        device: where they are kept. What comes from the cache and is not small stays there, and is
            brought to the device batch by batch.
        report: is told how far the neighbour lists of a cached set are.

    Raises:
        InputError: no configuration; too few multipole columns; an element that is not in
            ``elements``; two atoms at the same place.
    """
    if not configurations:
        raise InputError("no configuration to build graphs from")
    table = tabulate(configurations)
    width = (multipoles_max_l + 1) ** 2
    check_multipoles(table, width)
    _check_elements(table, elements)
    order = np.argsort(table.periodic, kind="stable")
    ordered = table.take(order)
    options = _Options(tuple(elements), width, dtype, torch.device(device))
    if table.columns.folder is None:
        # as the caller's own objects, where they are
        same = ordered if table is configurations else [configurations[i] for i in order]
        return _resident(same, ordered, neighbours_of(ordered, r_max), options)
    neighbours = neighbours_in_cache(table.columns, r_max, report)
    if _stays_mapped(ordered, neighbours, options):
        return MappedGraphs(
            ordered,
            neighbours,
            elements=elements,
            width=width,
            dtype=dtype,
            device=device,
        )
    taken = neighbours.take(ordered.rows, Table(table.columns).periodic)
    return _resident(ordered, ordered, taken, options)


@dataclass(frozen=True)
class _Options:
    elements: tuple[int, ...]
    width: int
    dtype: torch.dtype
    device: torch.device


def _check_elements(table: Table, elements: Sequence[int]) -> None:
    numbers = table.atoms("atomic_numbers")
    unknown = np.flatnonzero(~np.isin(numbers, elements))
    if unknown.size:
        graph = int(table.graph_of_atom[unknown[0]])
        raise InputError(
            f"{table.where(graph)}: element {numbers[unknown[0]]} is not one of {list(elements)}"
        )


def _stays_mapped(table: Table, neighbours: Neighbours, options: _Options) -> bool:
    """Whether a set from the cache is too large for the device; the host has it mapped anyway."""
    size = options.dtype.itemsize
    n_edges = int(neighbours.arrays["n_edges"][table.rows].sum())
    per_atom = 16 + size * (len(options.elements) + options.width + 7)
    n_bytes = n_edges * (16 + 6 * size) + int(table.n_atoms.sum()) * per_atom
    return options.device.type == "cpu" or n_bytes + len(table) * 80 * size > RESIDENT


def _resident(
    configurations: Sequence[Configuration],
    table: Table,
    neighbours: Neighbours,
    options: _Options,
) -> Graphs:
    """All tensors on the device; ``neighbours`` in the order of the table."""
    found, columns = neighbours.arrays, table.columns.arrays

    def tensor(array: Array) -> Tensor:
        value = torch.from_numpy(np.ascontiguousarray(array))
        return value.to(options.device, options.dtype if value.is_floating_point() else None)

    def label_or_zeros(name: str) -> Array:
        label = LABELS.get(name)
        per_atom = name in ATOM_COLUMNS
        there = name in columns and not (name == MULTIPOLES and columns[name].shape[1] == 0)
        if not there and label is not None:
            n = int(table.n_atoms.sum()) if per_atom else len(table)
            return no_label(label, n, options.width)
        array = table.atoms(name) if per_atom else table.graphs(name)
        return array[:, : options.width] if name == MULTIPOLES else array

    sizes = graph_sizes(table, found["n_edges"])
    n_molecular = len(table) - int(table.periodic.sum())
    # molecules come first, and have no shifts
    in_molecules = np.zeros((len(found["edge_index"]) - len(found["shifts"]), 3))
    numbers = table.atoms("atomic_numbers")
    one_hot = (numbers[:, None] == np.asarray(options.elements)).astype(np.float64)
    return Graphs(
        configurations=configurations,
        atoms={"node_attrs": tensor(one_hot)}
        | {name: tensor(label_or_zeros(name)) for name in ATOM_COLUMNS},
        edges={
            "edge_index": tensor(found["edge_index"].astype(np.int64)),
            "shifts": tensor(np.concatenate([in_molecules, found["shifts"]])),
            "unit_shifts": tensor(np.concatenate([in_molecules, found["unit_shifts"]])),
        },
        graphs={
            "cell": tensor(found["graph_cell"]),
            "head": tensor(np.zeros(len(table), dtype=np.int64)),
        }
        | {name: tensor(label_or_zeros(name)) for name in GRAPH_COLUMNS},
        n_molecular=n_molecular,
        sizes=sizes,
        avg_num_neighbors=float(sizes[:, 1].sum() / max(found["n_with_neighbours"].sum(), 1)),
    )
