"""The molecules of a batch: the distinct pairs (graph, ``cluster_batch`` value)."""

from __future__ import annotations

import torch
from torch import Tensor


def molecule_index(batch: Tensor, cluster_batch: Tensor) -> Tensor:
    """Number the molecules of a batch.

    Call it once when a batch is made and store the result as ``ref["molecule_index"]``: it looks
    for distinct values, which on a GPU makes the host wait.

    Args:
        batch: graph of each atom, ``[N]``.
        cluster_batch: molecule of each atom within its graph, ``[N]``, any integers.

    Returns:
        For each atom the number of its molecule, 0 to M-1, ``[N]`` (int64).
    """
    pairs = torch.stack([batch.reshape(-1).long(), cluster_batch.reshape(-1).long()])
    number: Tensor = torch.unique(pairs, dim=1, return_inverse=True)[1]
    return number.reshape(-1)


class Molecules:
    """Sums and means over molecules, without ever counting them.

    There cannot be more molecules than atoms, so N slots hold them all and the host need not ask
    the device for their number. Slots without a molecule stay zero.

    Args:
        index: molecule of each atom, ``[N]``, below N.
        graph: graph of each atom, ``[N]``.
    """

    def __init__(self, index: Tensor, graph: Tensor) -> None:
        self.index = index
        self.graph = torch.zeros_like(graph).scatter(0, index, graph)
        """Graph of each slot, ``[N]``; 0 for an empty one."""

    def sum(self, values: Tensor) -> Tensor:
        """Sum ``[N, c]`` over the atoms of each molecule, ``[N, c]``, a row per slot."""
        return torch.zeros_like(values).index_add(0, self.index, values)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of ``[N, c]`` over the atoms of each molecule, ``[N, c]``."""
        return self.sum(values) / self.sum(torch.ones_like(values[:, :1])).clamp(min=1)
