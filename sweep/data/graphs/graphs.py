"""Labelled graphs in one store, and batches gathered from it.

A data set is turned into graphs once: neighbour lists by mace-torch, every tensor of all
configurations concatenated and kept on the device. A batch is then a few index selections, whose
sizes are known on the host: nothing waits for a GPU. The result equals mace-torch's own collation
(`tests/data/test_graphs.py`) and takes a small fraction of its time.

The keys of a batch, for ``G`` graphs with ``N`` atoms, ``E`` edges and ``P`` pairs:

| key | shape | |
|---|---|---|
| `node_attrs` | [N, n_elements] | one-hot elements |
| `positions`, `forces` | [N, 3] | Å, eV/Å |
| `density_coefficients` | [N, C] | atomic multipoles, C = (l_max + 1)² |
| `esps` | [N] | potential at the atoms, V |
| `cluster_batch` | [N] | molecule numbers as labelled |
| `molecule_index` | [N] | 0 to M - 1, one number per (graph, molecule) of the batch |
| `batch`, `ptr` | [N], [G + 1] | graph of each atom; first atom of each graph |
| `edge_index` | [2, E] | sender and receiver of each edge |
| `shifts`, `unit_shifts` | [E, 3] | Å; in units of the cell |
| `pair_index` | [2, P] | all i != j of each graph; only where the graphs are molecules |
| `cell`, `pbc` | [3G, 3], [G, 3] | what has no cell of three vectors: mace-torch's large one |
| `head` | [G] | 0 |
| `weight` | [G] | weight of the configuration |
| `energy`, `total_charge`, `fermi_level` | [G] | eV, e, eV |
| `total_spin` | [G] | multiplicity |
| `dipole`, `external_field` | [G, 3] | e·Å; V/Å, minus the physical field |
| `stress`, `polarizability` | [G, 3, 3] | eV/Å³; as labelled |
| weights in `sweep.data.labels` | [G, ...] | per property |

A label that a configuration lacks is zeros with weight zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.data.read.configurations import Configuration

__all__ = ["GraphBatch", "Graphs", "batches", "n_batches"]


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Some graphs, all periodic or all molecules.

    Attributes:
        tensors: by the keys of this module's table.
        periodic: whether the graphs are periodic cells.
        n_graphs: number of graphs.
        n_atoms: number of atoms.
    """

    tensors: dict[str, Tensor]
    periodic: bool
    n_graphs: int
    n_atoms: int


@dataclass(eq=False)
class Graphs:
    """All graphs of one set of configurations, molecules before periodic cells.

    Attributes:
        configurations: in the order of the store.
        atoms: tensors with one row per atom.
        edges: tensors with one row per edge.
        graphs: tensors with one row per graph.
        n_molecular: how many of the graphs are molecules, which come first.
        sizes: ``[G, 3]`` on the host: atoms, edges and labelled molecules of each graph.
        avg_num_neighbors: mean number of neighbours of the atoms that have any, as in MACE; 0 if
        none has.
    """

    configurations: Sequence[Configuration]
    atoms: dict[str, Tensor]
    edges: dict[str, Tensor]
    graphs: dict[str, Tensor]
    n_molecular: int
    sizes: NDArray[np.int64]
    avg_num_neighbors: float
    _counts: Tensor = field(init=False)  # sizes and the starts of atoms and edges, on the device

    def __post_init__(self) -> None:
        starts = np.cumsum(self.sizes, axis=0) - self.sizes
        self._locate(starts[:, 0], starts[:, 1])

    def _locate(self, atom_start: NDArray[np.int64], edge_start: NDArray[np.int64]) -> None:
        """Say where the rows of each graph begin."""
        table = np.column_stack([self.sizes, atom_start, edge_start]).T.copy()
        self._counts = torch.from_numpy(table).to(self.device)

    def __len__(self) -> int:
        """Number of graphs."""
        return len(self.configurations)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.atoms["positions"].device

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all graphs."""
        return int(self.atoms["positions"].shape[0])

    @property
    def connected(self) -> NDArray[np.bool_]:
        """Whether a graph has an edge, for those of several atoms."""
        connected: NDArray[np.bool_] = self.sizes[self.sizes[:, 0] > 1, 1] > 0
        return connected

    def attach(self, name: str, per_atom: Tensor) -> None:
        """Add a tensor with one row per atom to all later batches, or replace it.

        The rows are in the order of the store, which is that of the unshuffled batches one after
        the
        other: ``graphs.attach(name, torch.cat([f(b) for b in batches(graphs, 16)]))``.

        Raises:
            ValueError: the number of rows is not that of the atoms.
        """
        if per_atom.shape[:1] != (self.n_atoms,):
            raise ValueError(
                f"attach('{name}'): expected {self.n_atoms} rows, one per atom; got shape "
                f"{tuple(per_atom.shape)}"
            )
        self._keep(name, per_atom.detach().to(self.device))

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> GraphBatch:
        """The graphs ``indices`` of the store, in that order.

        Raises:
            ValueError: no index, or molecules and periodic cells together.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        periodic = chosen >= self.n_molecular
        if not len(chosen) or periodic.any() != periodic.all():
            raise ValueError("a batch needs graphs that are all molecules or all periodic cells")
        n_graphs = len(chosen)
        n_atoms, n_edges, _ = (int(total) for total in self.sizes[chosen].sum(axis=0))
        device = self.device
        index = torch.from_numpy(chosen)
        if device.type == "cuda":
            index = index.pin_memory().to(device, non_blocking=True)

        sizes, edge_sizes, molecules, atom_start, edge_start = self._counts[:, index]
        graph = torch.arange(n_graphs, device=device)
        ptr = torch.zeros(n_graphs + 1, dtype=torch.int64, device=device)
        torch.cumsum(sizes, 0, out=ptr[1:])
        batch = torch.repeat_interleave(graph, sizes, output_size=n_atoms)
        atom = torch.arange(n_atoms, device=device) + (atom_start - ptr[:-1])[batch]
        edge_graph = torch.repeat_interleave(graph, edge_sizes, output_size=n_edges)
        edge_offset = edge_start - (torch.cumsum(edge_sizes, 0) - edge_sizes)
        edge = torch.arange(n_edges, device=device) + edge_offset[edge_graph]

        tensors = self._select(index, atom, edge, batch, edge_graph)
        first = ptr[:-1]
        tensors["edge_index"] = (
            tensors["edge_index"] + first[edge_graph].unsqueeze(1)
        ).T.contiguous()
        tensors["molecule_index"] += (torch.cumsum(molecules, 0) - molecules)[batch]
        tensors["cell"] = tensors["cell"].view(-1, 3)
        tensors["batch"], tensors["ptr"] = batch, ptr
        if not periodic[0]:
            n_pairs = int((self.sizes[chosen, 0] * (self.sizes[chosen, 0] - 1)).sum())
            tensors["pair_index"] = _pairs(sizes, first, batch, n_pairs)
        return GraphBatch(self._finished(tensors), bool(periodic[0]), n_graphs, n_atoms)

    def attached(self, name: str) -> Tensor:
        """What was attached, in the order of the store."""
        return self.atoms[name]

    def _keep(self, name: str, per_atom: Tensor) -> None:
        """Have rows in the order of the store in all batches."""
        self.atoms[name] = per_atom

    def _select(
        self, index: Tensor, atom: Tensor, edge: Tensor, batch: Tensor, edge_graph: Tensor
    ) -> dict[str, Tensor]:
        """The rows of all tensors; ``batch`` and ``edge_graph`` say which graph each belongs to."""
        tensors = {name: value.index_select(0, atom) for name, value in self.atoms.items()}
        tensors |= {name: value.index_select(0, edge) for name, value in self.edges.items()}
        return tensors | {name: value.index_select(0, index) for name, value in self.graphs.items()}

    def _finished(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a batch as the model takes them."""
        return tensors


def _pairs(sizes: Tensor, first: Tensor, batch: Tensor, n_pairs: int) -> Tensor:
    """All ordered pairs ``[2, P]`` of different atoms of the same graph.

    Made from the sizes alone: stored, they would grow with the square of the largest molecule.
    """
    others = sizes[batch] - 1  # of each atom
    atom = torch.arange(batch.shape[0], device=batch.device)
    source = torch.repeat_interleave(atom, others, output_size=n_pairs)
    skipped = torch.cumsum(others, 0) - others  # pairs before those of an atom
    target = torch.arange(n_pairs, device=batch.device) - skipped[source] + first[batch[source]]
    return torch.stack([source, target + (target >= source)])


def n_batches(graphs: Graphs, batch_size: int) -> int:
    """Number of batches of one pass over the graphs."""
    periodic = len(graphs) - graphs.n_molecular
    return -(-graphs.n_molecular // batch_size) + -(-periodic // batch_size)


def batches(
    graphs: Graphs,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    chosen: NDArray[np.bool_] | None = None,
) -> Iterator[GraphBatch]:
    """One pass over the graphs, molecules and periodic cells in separate batches.

    Args:
        graphs: the store.
        batch_size: graphs per batch; the last batch of each kind holds what is left.
        shuffle_seed: with ``epoch`` it fixes the order of graphs and of batches on every device.
            None keeps the order of the store.
        epoch: number of the pass.
        chosen: which graphs, ``[G]``; None for all.
    """
    kinds = [np.arange(graphs.n_molecular), np.arange(graphs.n_molecular, len(graphs))]
    if chosen is not None:
        kinds = [kind[chosen[kind]] for kind in kinds]
    rng = None if shuffle_seed is None else np.random.default_rng([shuffle_seed, epoch])
    if rng is not None:
        kinds = [rng.permutation(kind) for kind in kinds]
    chunks = [kind[i : i + batch_size] for kind in kinds for i in range(0, len(kind), batch_size)]
    if rng is not None:
        chunks = [chunks[i] for i in rng.permutation(len(chunks))]
    for chunk in chunks:
        yield graphs.batch(chunk)
