"""From configurations to graphs: neighbour lists and arrays of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.configurations import Configuration
from sweep.data.graphs import Graphs
from sweep.data.labels import LABELS, WEIGHTS, Label
from sweep.data.statistics import check_multipoles
from sweep.errors import InputError
from sweep.libraries import quiet

with quiet():
    from mace.data import get_neighborhood

__all__ = ["build_graphs"]

FAR = 30.0  # Å from the origin; a molecule beyond is moved there to search its neighbours
CLOSEST = 0.1  # Å; two atoms nearer than that are one atom written twice


def build_graphs(
    configurations: Sequence[Configuration],
    *,
    r_max: float,
    elements: Sequence[int],
    multipoles_max_l: int,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> Graphs:
    """Neighbour lists and tensors of configurations.

    Args:
        configurations: any split.
        r_max: cutoff of the neighbour list, Å.
        elements: atomic numbers in ascending order, the columns of ``node_attrs``.
        multipoles_max_l: of the model; files with further columns are cut.
        dtype: of the floating-point tensors.
        device: where they are kept.

    Raises:
        InputError: no configuration; too few multipole columns; an element that is not in
            ``elements``; two atoms at the same place.
    """
    if not configurations:
        raise InputError("no configuration to build graphs from")
    width = (multipoles_max_l + 1) ** 2
    check_multipoles(configurations, width)
    ordered = sorted(configurations, key=lambda configuration: configuration.periodic)
    rows = [_arrays(configuration, r_max, elements, width) for configuration in ordered]

    def tensor(name: str, *, stack: bool = False) -> Tensor:
        parts = [row[name] for row in rows]
        array = np.stack(parts) if stack else np.concatenate(parts)
        value = torch.from_numpy(np.ascontiguousarray(array))
        return value.to(device, dtype if value.is_floating_point() else None)

    sizes = np.array(
        [
            [len(row["positions"]), len(row["shifts"]), row["molecule_index"].max() + 1]
            for row in rows
        ]
    )
    with_neighbours = sum(len(np.unique(row["edge_index"][:, 1])) for row in rows)
    return Graphs(
        configurations=ordered,
        atoms={name: tensor(name) for name in _ATOM_KEYS},
        edges={name: tensor(name) for name in _EDGE_KEYS},
        graphs={name: tensor(name, stack=True) for name in _GRAPH_KEYS},
        n_molecular=sum(not configuration.periodic for configuration in ordered),
        sizes=sizes,
        avg_num_neighbors=float(sizes[:, 1].sum() / max(with_neighbours, 1)),
    )


_ATOM_KEYS = (
    "node_attrs",
    "positions",
    "molecule_index",
    *(label.key for label in LABELS.values() if label.per_atom),
)
_EDGE_KEYS = ("edge_index", "shifts", "unit_shifts")
_GRAPH_KEYS = (
    "cell",
    "pbc",
    "head",
    "weight",
    *WEIGHTS,
    *(label.key for label in LABELS.values() if not label.per_atom),
)


def _arrays(
    configuration: Configuration, r_max: float, elements: Sequence[int], width: int
) -> dict[str, NDArray[Any]]:
    """All arrays of one graph; ``edge_index`` as [E, 2] within the graph."""
    numbers, positions = configuration.atomic_numbers, configuration.positions
    node_attrs = (numbers[:, None] == np.asarray(elements)).astype(np.float64)
    if not node_attrs.any(axis=1).all():
        unknown = int(numbers[~node_attrs.any(axis=1)][0])
        raise InputError(f"{configuration.where}: element {unknown} is not one of {list(elements)}")
    # mace-torch puts a molecule into a cell that grows with its distance from the origin, and
    # searches all of it: at 100 Å that takes a second, further out minutes.
    far = not configuration.periodic and np.abs(positions).max() > FAR
    # It writes into the cell and wants built-in booleans. For a molecule it returns a large cell.
    edge_index, shifts, unit_shifts, cell = get_neighborhood(
        positions=positions - positions.mean(axis=0) if far else positions,
        cutoff=r_max,
        pbc=tuple(configuration.pbc.tolist()),
        cell=configuration.cell.copy(),
    )
    sender, receiver = edge_index
    lengths = np.linalg.norm(positions[receiver] - positions[sender] + shifts, axis=1)
    if lengths.size and lengths.min() < CLOSEST:
        i, j = edge_index[:, lengths.argmin()]
        raise InputError(
            f"{configuration.where}: atoms {i} and {j} are {lengths.min():.3f} Å apart"
        )
    n_atoms = len(configuration)
    arrays: dict[str, NDArray[Any]] = {
        "node_attrs": node_attrs,
        "positions": positions,
        "edge_index": edge_index.T.astype(np.int64),
        "shifts": shifts,
        "unit_shifts": unit_shifts.astype(np.float64),
        "cell": cell,
        "pbc": configuration.pbc,
        "head": np.array(0),
        "weight": np.array(configuration.weight),
        **configuration.weights,
    }
    for key, label in LABELS.items():
        missing = _zeros(label, n_atoms, width)
        arrays[key] = configuration.labels.get(key, missing)
    arrays["density_coefficients"] = arrays["density_coefficients"][:, :width]
    arrays["molecule_index"] = np.unique(arrays["cluster_batch"], return_inverse=True)[1]
    return arrays


def _zeros(label: Label, n_atoms: int, width: int) -> NDArray[Any]:
    """What stands for a label that is missing."""
    sizes = {"n": n_atoms, "C": width}
    shape = [sizes[size] if isinstance(size, str) else size for size in label.shape]
    return np.zeros(shape, dtype=np.int64 if label.integer else np.float64)
