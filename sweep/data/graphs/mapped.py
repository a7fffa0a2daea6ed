"""Graphs of which only the current batch is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from sweep.data.graphs.neighbours import Neighbours
from sweep.data.labels import LABELS
from sweep.data.table import Table

__all__ = ["MappedGraphs"]


class MappedGraphs(Graphs):
    """Batches gathered from the arrays of the cache, equal to those of :class:`Graphs`.

    The system reads what a batch needs and drops it when memory is short; all processes that have
    the same files open share what is in memory. What is attached is held in memory.

    Args:
        table: the configurations, molecules before periodic cells.
        neighbours: of all configurations of the table's columns.
        elements: atomic numbers in ascending order, the columns of ``node_attrs``.
        width: columns of the multipoles.
        dtype: of the floating-point tensors of a batch.
        device: of the tensors of a batch.
    """

    def __init__(
        self,
        table: Table,
        neighbours: Neighbours,
        *,
        elements: Sequence[int],
        width: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        columns, found = table.columns, neighbours.arrays
        rows, start = table.rows, columns.first[table.rows]
        sizes = graph_sizes(table, found["n_edges"][rows])
        self._rows = torch.from_numpy(rows)
        self._elements = torch.tensor(list(elements))
        self._width = width
        self._dtype = dtype
        self._target = torch.device(device)
        self._attached: dict[str, Tensor] = {}
        super().__init__(
            configurations=table,
            atoms=_mapped(columns.arrays, ("atomic_numbers", *ATOM_COLUMNS)),
            edges=_mapped(found, ("edge_index",)),
            graphs=_mapped(columns.arrays, GRAPH_COLUMNS)
            | {"cell": torch.from_numpy(found["graph_cell"])},
            n_molecular=len(table) - int(table.periodic.sum()),
            sizes=sizes,
            avg_num_neighbors=float(
                sizes[:, 1].sum() / max(found["n_with_neighbours"][rows].sum(), 1)
            ),
        )
        self._shifts = _mapped(found, ("shifts", "unit_shifts"))
        edge_start = neighbours.first_edge[rows]
        self._locate(start, edge_start)
        # from the rows of the files to those of what is attached, and to those of the shifts
        first_shift = neighbours.first_shift(Table(columns).periodic)
        self._to_attached = torch.from_numpy(np.cumsum(sizes[:, 0]) - sizes[:, 0] - start)
        self._to_shift = torch.from_numpy(first_shift[rows] - edge_start)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all graphs."""
        return int(self.sizes[:, 0].sum())

    def attached(self, name: str) -> Tensor:
        """What was attached, in the order of the store."""
        return self._attached[name]

    def _keep(self, name: str, per_atom: Tensor) -> None:
        self._attached[name] = per_atom

    def _select(
        self, index: Tensor, atom: Tensor, edge: Tensor, batch: Tensor, edge_graph: Tensor
    ) -> dict[str, Tensor]:
        tensors = super()._select(self._rows[index], atom, edge, batch, edge_graph)
        tensors["edge_index"] = tensors["edge_index"].long()
        n_graphs, n_atoms, n_edges = len(index), len(atom), len(edge)
        if int(index[0]) < self.n_molecular:
            zeros = torch.zeros(n_edges, 3, dtype=self._dtype)
            tensors |= {"shifts": zeros, "unit_shifts": zeros.clone()}
        else:
            shift = edge + self._to_shift[index][edge_graph]
            tensors |= {name: value.index_select(0, shift) for name, value in self._shifts.items()}
            tensors["unit_shifts"] = tensors["unit_shifts"].to(self._dtype)
        own = atom + self._to_attached[index][batch]
        tensors |= {name: value.index_select(0, own) for name, value in self._attached.items()}
        numbers = tensors.pop("atomic_numbers")
        tensors["node_attrs"] = (numbers[:, None] == self._elements).to(self._dtype)
        tensors["head"] = torch.zeros(n_graphs, dtype=torch.int64)
        for key, label in LABELS.items():
            if key not in tensors or (key == MULTIPOLES and tensors[key].shape[1] == 0):
                rows = n_atoms if label.per_atom else n_graphs
                tensors[key] = torch.from_numpy(no_label(label, rows, self._width))
        tensors[MULTIPOLES] = tensors[MULTIPOLES][:, : self._width].contiguous()
        return tensors

    def _finished(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: value.to(self._target, self._dtype if value.is_floating_point() else None)
            for name, value in tensors.items()
        }


def _mapped(arrays: Mapping[str, NDArray[Any]], names: Iterable[str]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(arrays[name]) for name in names if name in arrays}
