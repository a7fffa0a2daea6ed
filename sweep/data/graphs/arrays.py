"""Which columns of configurations become tensors of graphs. Imports no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.labels import LABELS, WEIGHTS, Label
from sweep.data.table import Table

__all__ = ["ATOM_COLUMNS", "GRAPH_COLUMNS", "MULTIPOLES", "graph_sizes", "no_label"]

MULTIPOLES = "density_coefficients"

ATOM_COLUMNS = (
    "positions",
    "molecule_index",
    *(label.key for label in LABELS.values() if label.per_atom),
)
"""Columns with a row per atom; those of labels are missing where nothing is mapped to them."""

GRAPH_COLUMNS = (
    "pbc",
    "weight",
    *WEIGHTS,
    *(label.key for label in LABELS.values() if not label.per_atom),
)
"""The same with a row per configuration; the cell is that of the neighbour list."""


def graph_sizes(table: Table, n_edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[G, 3]``: atoms, edges and labelled molecules of each graph."""
    first = np.cumsum(table.n_atoms) - table.n_atoms
    n_molecules = np.maximum.reduceat(table.atoms("molecule_index"), first) + 1
    sizes: NDArray[np.int64] = np.column_stack([table.n_atoms, n_edges, n_molecules])
    return sizes


def no_label(label: Label, n: int, width: int) -> NDArray[Any]:
    """What stands for a label that is missing.

    Args:
        label: the label.
        n: atoms of all configurations, or configurations if it is none per atom.
        width: columns of the multipoles.
    """
    sizes = {"n": n, "C": width}
    shape = [sizes[size] if isinstance(size, str) else size for size in label.shape]
    rows = [] if label.per_atom else [n]
    return np.zeros([*rows, *shape], dtype=np.int64 if label.integer else np.float64)
