r"""From a periodic cell to a slab or a molecule: corrections of the k-space sum.

The k-space sum repeats a configuration in all directions. What its images add to a slab (along the
direction out of the plane) or to a molecule (along all three, in a cubic box of length L) is, up to
terms that vanish quickly with the vacuum, a quadratic form of the charge :math:`Q`, the dipole
:math:`\mathbf M` and the second moment :math:`S` of the density,

.. math:: \Delta E = c \,(\mathbf M \cdot P \mathbf M - Q\, \mathrm{tr}(P S) - \beta Q^2)

with :math:`P` the projection on those directions, :math:`c = 2\pi K/V` and :math:`\beta = L^2/12`
for a slab of height L (Yeh and Berkowitz, J. Chem. Phys. 111, 3155 (1999); with charge:
Ballenegger, Arnold and Cerdà, J. Chem. Phys. 131, 094107 (2009)), and :math:`c = 2\pi K/3V`,
:math:`\beta = -3\alpha L^2/4\pi` for a molecule (Makov and Payne, Phys. Rev. B 51, 4014 (1995)).
For neutral systems these are the corrections of graph-longrange; with a charge it leaves out the
width of the Gaussians, which in a box of 20 Å makes 25 meV per e², and its slabs are not invariant
under translation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.models.electrostatics.molecules import COULOMB_CONSTANT

__all__ = ["BoundaryCorrection", "boundary_correction"]

CUBIC_MADELUNG = 2.837297479480619
"""Of a cubic lattice of point charges in a uniform background, in units of K/L."""


@dataclass(frozen=True)
class BoundaryCorrection:
    """What is added to energy and potential of the periodic cells of a batch.

    Attributes:
        smearing_width: standard deviation σ of the Gaussians, Å.
        relative: [N, 3] positions relative to the middle of their graph, molecule or slab whole, Å.
        batch: [N] graph of each atom.
        projection: [G, 3, 3] P of the module's formula; zeros for a cell.
        factor: [G] c, eV/(e²·Å²).
        beta: [G] β, Å².
    """

    smearing_width: float
    relative: Tensor
    batch: Tensor
    projection: Tensor
    factor: Tensor
    beta: Tensor

    def energy(self, multipoles: Tensor) -> Tensor:
        """The change of the energy [G], eV, for multipoles [N, (max_l+1)²]."""
        charge, dipole, second = self._moments(multipoles)
        square = torch.einsum("gi,gij,gj->g", dipole, self.projection, dipole)
        return self.factor * (square - charge * second - self.beta * charge.square())

    def potential(self, multipoles: Tensor) -> Tensor:
        """The change of the potential [N] at the nuclei, V."""
        charge, dipole, second = self._moments(multipoles)
        projected = torch.einsum("gij,gj->gi", self.projection, dipole)
        linear = 2.0 * (projected[self.batch] * self.relative).sum(-1)
        constant = second + 2.0 * self.beta * charge
        quadratic = charge[self.batch] * self._square()
        return self.factor[self.batch] * (linear - quadratic - constant[self.batch])

    def _square(self) -> Tensor:
        """The squared distance [N] from the middle along the corrected directions, Å²."""
        return torch.einsum(
            "ni,nij,nj->n", self.relative, self.projection[self.batch], self.relative
        )

    def _moments(self, multipoles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Charge [G], dipole [G, 3] and tr(P S) [G] of the densities."""
        charges = multipoles[:, 0]
        trace = torch.einsum("gii->g", self.projection)
        second = charges * (self._square() + self.smearing_width**2 * trace[self.batch])
        dipoles = charges.unsqueeze(-1) * self.relative
        if multipoles.shape[1] > 1:
            atomic = torch.roll(multipoles[:, 1:], 1, dims=-1)  # (y, z, x) -> (x, y, z)
            dipoles = dipoles + atomic
            along = torch.einsum("nij,nj->ni", self.projection[self.batch], self.relative)
            second = second + 2.0 * (atomic * along).sum(-1)

        def total(values: Tensor) -> Tensor:
            zeros = values.new_zeros(self.factor.shape[0], *values.shape[1:])
            return zeros.index_add(0, self.batch, values)

        return total(charges), total(dipoles), total(second)


def boundary_correction(
    positions: Tensor,
    batch: Mapping[str, Tensor],
    smearing_width: float,
    *,
    slab: Tensor,
    molecule: Tensor,
) -> BoundaryCorrection:
    """The correction of a batch.

    A slab repeats along all but one vector of its cell: the one whose flag in ``batch["pbc"]`` is
    false, the third if there is none.

    Args:
        positions: [N, 3], Å.
        batch: cells, flags and graphs of the atoms.
        smearing_width: standard deviation σ of the Gaussians, Å.
        slab: [G] whether a graph is a slab.
        molecule: [G] whether a graph is a molecule in a cubic box.
    """
    cell = batch["cell"].view(-1, 3, 3)
    graph = batch["batch"]
    free = ~batch["pbc"].view(-1, 3)
    third = torch.tensor([False, False, True], device=free.device)
    free = torch.where(free.any(dim=1, keepdim=True), free, third)
    opened = (slab.unsqueeze(1) & free) | molecule.unsqueeze(1)

    volume = torch.linalg.det(cell).abs()
    # the row of inv(cell)ᵀ that belongs to a vector is normal to the two others, of length 1/height
    reciprocal = torch.linalg.inv(cell).mT
    normal = (reciprocal * free.unsqueeze(-1)).sum(dim=1)
    height = 1.0 / torch.linalg.vector_norm(normal, dim=-1)
    normal = normal * height.unsqueeze(-1)
    across = normal.unsqueeze(2) * normal.unsqueeze(1)
    identity = torch.eye(3, dtype=cell.dtype, device=cell.device)
    projection = slab.view(-1, 1, 1) * across + molecule.view(-1, 1, 1) * identity

    per_volume = 2.0 * math.pi * COULOMB_CONSTANT / volume
    factor = per_volume * slab + per_volume / 3.0 * molecule
    in_slab, in_box = height.square() / 12.0, -0.75 * CUBIC_MADELUNG / math.pi * volume.pow(2 / 3)
    beta = in_slab * slab + in_box * molecule
    return BoundaryCorrection(
        smearing_width=smearing_width,
        relative=_relative(positions, cell, reciprocal, graph, opened),
        batch=graph,
        projection=projection,
        factor=factor,
        beta=beta,
    )


def _relative(
    positions: Tensor, cell: Tensor, reciprocal: Tensor, graph: Tensor, opened: Tensor
) -> Tensor:
    """Positions from the middle of each graph, atoms wrapped through an opened side put back.

    The middle is the circular mean of the fractional coordinates, which is right whichever way the
    atoms are wrapped as long as there is vacuum opposite to it.
    """
    with torch.no_grad():
        fractional = torch.einsum("ni,nji->nj", positions, reciprocal[graph])
        angle = 2.0 * math.pi * fractional
        zeros = fractional.new_zeros(cell.shape[0], 3)
        sine = zeros.index_add(0, graph, torch.sin(angle))
        cosine = zeros.index_add(0, graph, torch.cos(angle))
        middle = torch.atan2(sine, cosine) / (2.0 * math.pi)
        images = torch.round(fractional - middle[graph]) * opened[graph]
    unwrapped = positions - torch.einsum("ni,nij->nj", images, cell[graph])
    return unwrapped - torch.einsum("gi,gij->gj", middle, cell)[graph]
