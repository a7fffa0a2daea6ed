r"""The electrostatic field around each atom, projected on Gaussians: what the density responds to.

For every width :math:`w` an atom has the potential of the smeared multipoles averaged over a
Gaussian of that width at the atom, and with `max_l` 1 the gradient of this average. They come in
the normalisation that graph-longrange calls `receiver`,

.. math:: f_{w,0} = 2\sqrt{\pi}\, V_w, \qquad f_{w,1} = \pi\sqrt{3/2}\; w\, \nabla V_w,

in V, and in its order: all widths with l = 0, then for every width the components y, z, x. The
average of the potential of a Gaussian of width :math:`\sigma` over one of width :math:`w` is that
of a Gaussian of width :math:`\sqrt{\sigma^2 + w^2}` at a point, so molecules take the closed pair
formula; periodic cells take the k-space sums of graph-longrange.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sweep.libraries import (
    GTOElectrostaticFeatures,
    compute_k_vectors_flat,
    gto_basis_kspace_cutoff,
)
from sweep.models.electrostatics.coulomb import COULOMB_CONSTANT, radial_kernels

__all__ = ["CellFieldFeatures", "FieldFeatures", "MoleculeFieldFeatures", "ScalesOfFeatures"]


class FieldFeatures(Protocol):
    """The features at given positions, as a linear function of the multipoles."""

    def features(self, multipoles: Tensor) -> Tensor:
        """Features [N, F] in V of multipoles [N, (density_max_l+1)²]."""
        ...


@dataclass(frozen=True)
class ScalesOfFeatures:
    """The normalisation of the features, and of a field that is applied from outside.

    Attributes:
        widths: of the Gaussians, Å.
        max_l: 0 or 1.
    """

    widths: tuple[float, ...]
    max_l: int

    @property
    def per_potential(self) -> float:
        """A feature with l = 0 over the averaged potential."""
        return 2.0 * math.sqrt(math.pi)

    def per_gradient(self, width: float) -> float:
        """A feature with l = 1 over the averaged gradient of the potential, Å."""
        return math.pi * math.sqrt(1.5) * width

    def applied(self, potential: Tensor, gradient: Tensor) -> Tensor:
        """Features [N, F] of a potential [N] in V with a gradient [N, 3] (x, y, z) in V/Å."""
        features = [self.per_potential * potential.unsqueeze(-1).expand(-1, len(self.widths))]
        if self.max_l == 1:
            turned = torch.roll(gradient, -1, dims=-1)  # (x, y, z) -> (y, z, x)
            features += [self.per_gradient(width) * turned for width in self.widths]
        return torch.cat(features, dim=-1)


class MoleculeFieldFeatures(torch.nn.Module):
    """Field features within molecules, by the closed formula for pairs.

    Args:
        density_max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: of the density, Å.
        scales: widths and normalisation.
        self_interaction: whether an atom feels its own density.
    """

    own: Tensor | None

    def __init__(
        self,
        density_max_l: int,
        smearing_width: float,
        scales: ScalesOfFeatures,
        *,
        self_interaction: bool,
    ) -> None:
        super().__init__()
        self.density_max_l = density_max_l
        self.smearing_width = smearing_width
        self.scales = scales
        own = self._own() if self_interaction else None
        self.register_buffer("own", own, persistent=False)

    def forward(self, positions: Tensor, batch: Mapping[str, Tensor]) -> PairFieldFeatures:
        """The features of the pairs in `batch["pair_index"]` at `positions` [N, 3]."""
        source, target = batch["pair_index"]
        vectors = torch.roll(positions[target] - positions[source], -1, dims=-1)
        distances = torch.linalg.vector_norm(vectors, dim=-1)
        blocks = [self._blocks(vectors, distances, width) for width in self.scales.widths]
        matrix = torch.cat(
            [potential for potential, _ in blocks] + [gradient for _, gradient in blocks], dim=1
        )
        return PairFieldFeatures(matrix, source, target, self.own)

    def _inverse_width(self, width: float) -> float:
        return 1.0 / math.sqrt(2.0 * (self.smearing_width**2 + width**2))

    def _blocks(self, r: Tensor, distances: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """Rows of the matrix for the potential [P, 1, C] and its gradient [P, 0 or 3, C]."""
        f0, f1, f2 = (
            COULOMB_CONSTANT * f.view(-1, 1, 1)
            for f in radial_kernels(distances, self._inverse_width(width))
        )
        row, column = r.unsqueeze(1), r.unsqueeze(2)
        potential, gradient = [f0], [-f1 * column]
        if self.density_max_l == 1:
            identity = torch.eye(3, dtype=r.dtype, device=r.device)
            potential.append(f1 * row)
            gradient.append(f1 * identity - f2 * column * row)
        kept = 3 * self.scales.max_l
        return (
            self.scales.per_potential * torch.cat(potential, dim=-1),
            self.scales.per_gradient(width) * torch.cat(gradient, dim=-1)[:, :kept],
        )

    def _own(self) -> Tensor:
        """The matrix [F, C] of an atom's own density."""
        widths, n_components = self.scales.widths, (self.density_max_l + 1) ** 2
        rows = []
        for width in widths:
            # the limit of erf(a r)/r at r = 0
            value = 2.0 * self._inverse_width(width) / math.sqrt(math.pi)
            row = [0.0] * n_components
            row[0] = self.scales.per_potential * COULOMB_CONSTANT * value
            rows.append(row)
        for width in widths if self.scales.max_l == 1 else ():
            # the limit of f1 at r = 0
            value = 4.0 * self._inverse_width(width) ** 3 / (3.0 * math.sqrt(math.pi))
            for component in range(1, 4):
                row = [0.0] * n_components
                if self.density_max_l == 1:
                    row[component] = self.scales.per_gradient(width) * COULOMB_CONSTANT * value
                rows.append(row)
        return torch.tensor(rows)


@dataclass(frozen=True)
class PairFieldFeatures:
    """Field features of `P` ordered pairs of atoms as one matrix per pair.

    The matrices depend on the positions only: an iteration of the density makes them once.

    Attributes:
        matrix: [P, F, C] features at the target per multipole of the source.
        source: [P] atom whose density acts.
        target: [P] atom it acts on.
        own: [F, C] the same for an atom and itself; None if it does not feel itself.
    """

    matrix: Tensor
    source: Tensor
    target: Tensor
    own: Tensor | None

    def features(self, multipoles: Tensor) -> Tensor:
        """Features [N, F] in V of multipoles [N, (density_max_l+1)²]."""
        pairs = torch.einsum("pfc,pc->pf", self.matrix, multipoles[self.source])
        if self.own is None:
            start = multipoles.new_zeros(multipoles.shape[0], pairs.shape[1])
        else:
            start = multipoles @ self.own.T
        return start.index_add(0, self.target, pairs)


class CellFieldFeatures(torch.nn.Module):
    """Field features in periodic cells by graph-longrange; the mean potential of a cell is zero.

    Args:
        density_max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: of the density, Å.
        scales: widths and normalisation.
        kspace_cutoff_factor: times graph-longrange's own estimate of the largest k-vector.
        self_interaction: whether an atom feels its own density; its images always act.
    """

    def __init__(
        self,
        density_max_l: int,
        smearing_width: float,
        scales: ScalesOfFeatures,
        kspace_cutoff_factor: float,
        *,
        self_interaction: bool,
    ) -> None:
        super().__init__()
        widths: Sequence[float] = [smearing_width, *scales.widths]
        largest = max(density_max_l, scales.max_l)
        cutoff = kspace_cutoff_factor * gto_basis_kspace_cutoff(widths, largest)
        self.register_buffer("kspace_cutoff", torch.tensor(cutoff), persistent=False)
        self.projections = GTOElectrostaticFeatures(
            density_max_l=density_max_l,
            density_smearing_width=smearing_width,
            feature_max_l=scales.max_l,
            feature_smearing_widths=list(scales.widths),
            include_self_interaction=self_interaction,
            kspace_cutoff=cutoff,
            integral_normalization="receiver",
            pbc_handling="pbc",
        )

    def forward(self, positions: Tensor, batch: Mapping[str, Tensor]) -> LatticeFieldFeatures:
        """The features in the cells `batch["cell"]` [3G, 3] at `positions` [N, 3]."""
        cell = batch["cell"].view(-1, 3, 3)
        reciprocal = 2.0 * math.pi * torch.linalg.inv(cell).mT
        k_vectors, k_norm2, k_batch, k0_mask = compute_k_vectors_flat(
            self.kspace_cutoff, cell, reciprocal
        )
        cache = self.projections.precompute_geometry(
            k_vectors=k_vectors,
            k_norm2=k_norm2,
            k_vector_batch=k_batch,
            k0_mask=k0_mask,
            node_positions=positions,
            batch=batch["batch"],
            volume=torch.linalg.det(cell).abs(),
            pbc=torch.ones_like(batch["pbc"].view(-1, 3)),
        )
        return LatticeFieldFeatures(self.projections, cache)


@dataclass(frozen=True)
class LatticeFieldFeatures:
    """Field features in periodic cells.

    Attributes:
        projections: graph-longrange's module.
        cache: what it made of positions and cells.
    """

    projections: GTOElectrostaticFeatures
    cache: Any

    def features(self, multipoles: Tensor) -> Tensor:
        """Features [N, F] in V of multipoles [N, (density_max_l+1)²]."""
        features: Tensor = self.projections.forward_dynamic(self.cache, multipoles)
        return features
