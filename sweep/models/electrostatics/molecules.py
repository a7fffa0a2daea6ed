"""Coulomb energy and potentials of smeared multipoles of molecules by a formula for pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from ase import units
from torch import Tensor

__all__ = [
    "COULOMB_CONSTANT",
    "MoleculeElectrostatics",
    "PairInteractions",
    "radial_kernels",
    "self_energy",
]

COULOMB_CONSTANT: float = units.Hartree * units.Bohr
"""1/(4 π ε₀) in eV·Å/e²; the same number in V·Å/e."""


class MoleculeElectrostatics(torch.nn.Module):
    """Coulomb interaction within molecules, by the closed formula for pairs of smeared multipoles.

    Args:
        max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: standard deviation σ of the Gaussians, Å.
    """

    def __init__(self, max_l: int, smearing_width: float) -> None:
        super().__init__()
        self.max_l = max_l
        self.smearing_width = smearing_width

    def forward(self, positions: Tensor, batch: Mapping[str, Tensor]) -> PairInteractions:
        """The interactions of the pairs in `batch["pair_index"]` at `positions` [N, 3]."""
        source, target = batch["pair_index"]
        # (x, y, z) -> (y, z, x), without an index tensor that a GPU would have to wait for
        vectors = torch.roll(positions[target] - positions[source], -1, dims=-1)
        return PairInteractions(
            max_l=self.max_l,
            smearing_width=self.smearing_width,
            source=source,
            target=target,
            vectors=vectors,
            distances=torch.linalg.vector_norm(vectors, dim=-1),
            graph=batch["batch"][target],
            n_graphs=batch["ptr"].numel() - 1,
        )


@dataclass(frozen=True)
class PairInteractions:
    r"""The interactions of `P` ordered pairs of atoms, each pair given in both orders.

    With :math:`a = 1/\sqrt{2(\sigma_i^2 + \sigma_j^2)}`, :math:`f_0 = \mathrm{erf}(a r)/r`,
    :math:`f_{n+1} = -f_n'/r` and :math:`\mathbf r` from source :math:`j` to target :math:`i`, the
    potential of the source averaged over a charge of width :math:`\sigma_i` is
    :math:`K (q_j f_0 + \mathbf d_j \cdot \mathbf r f_1)`; the energy of the pair is this times the
    target's charge plus its gradient times the target's dipole. A nucleus has no width. Exactly
    invariant under rotations.

    Attributes:
        max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: standard deviation σ of the Gaussians, Å.
        source: [P] atom whose density acts.
        target: [P] atom it acts on.
        vectors: [P, 3] from source to target in the order y, z, x of the dipoles, Å.
        distances: [P] Å.
        graph: [P] graph of the pair.
        n_graphs: number of graphs.
    """

    max_l: int
    smearing_width: float
    source: Tensor
    target: Tensor
    vectors: Tensor
    distances: Tensor
    graph: Tensor
    n_graphs: int

    def energy(self, multipoles: Tensor) -> Tensor:
        """Coulomb energy [G] in eV of multipoles [N, (max_l+1)²], without self-interaction."""
        source, target = multipoles[self.source], multipoles[self.target]
        f0, f1, f2 = radial_kernels(self.distances, 1.0 / (2.0 * self.smearing_width))
        charge, on_charge = source[:, 0], target[:, 0]
        pair = charge * on_charge * f0
        if self.max_l == 1:
            along = (source[:, 1:] * self.vectors).sum(-1)
            on_along = (target[:, 1:] * self.vectors).sum(-1)
            dipoles = (source[:, 1:] * target[:, 1:]).sum(-1)
            pair = pair + (on_charge * along - charge * on_along + dipoles) * f1
            pair = pair - along * on_along * f2
        half = 0.5 * COULOMB_CONSTANT * pair  # every pair comes twice
        return half.new_zeros(self.n_graphs).index_add(0, self.graph, half)

    def potential(self, multipoles: Tensor) -> Tensor:
        """Potential [N] in V of the whole smeared density at each nucleus, its own included."""
        a = 1.0 / (math.sqrt(2.0) * self.smearing_width)
        source = multipoles[self.source]
        f0, f1, _ = radial_kernels(self.distances, a)
        pair = source[:, 0] * f0
        if self.max_l == 1:
            pair = pair + (source[:, 1:] * self.vectors).sum(-1) * f1
        # the limit of erf(a r)/r at r = 0; the atom's own dipole has no potential at its centre
        own = multipoles[:, 0] * (2.0 * a / math.sqrt(math.pi))
        return COULOMB_CONSTANT * own.index_add(0, self.target, pair)


def radial_kernels(r: Tensor, a: float) -> tuple[Tensor, Tensor, Tensor]:
    """The radial functions f0 = erf(a r)/r, f1 = -f0'/r and f2 = -f1'/r."""
    x = a * r
    inverse_square = r.pow(-2)
    gaussian = (2.0 * a / math.sqrt(math.pi)) * torch.exp(-x.square())
    f0 = torch.erf(x) / r
    f1 = (f0 - gaussian) * inverse_square
    f2 = (3.0 * f1 - 2.0 * a * a * gaussian) * inverse_square
    return f0, f1, f2


def self_energy(multipoles: Tensor, smearing_width: float) -> Tensor:
    r"""Energy [N] in eV of each atom's smeared multipoles [N, (max_l+1)²] with themselves.

    The limit of half the energy of a pair at distance 0, with :math:`a = 1/(2\sigma)`:
    :math:`k\,(a q^2/\sqrt\pi + 2 a^3 d^2/(3\sqrt\pi))`; no boundary conditions change it.
    """
    a = 1.0 / (2.0 * smearing_width)
    square = multipoles.square()
    energy = a * square[:, 0] + (2.0 * a**3 / 3.0) * square[:, 1:].sum(-1)
    return (COULOMB_CONSTANT / math.sqrt(math.pi)) * energy
