r"""Coulomb energy and potentials of Gaussian-smeared atomic multipoles (charges and dipoles).

Every atom carries the density of its multipoles smeared by a Gaussian of width `smearing_width`.
The Coulomb energy leaves out the interaction of each atom's own density with itself; the potential
is that of the whole density at the nuclei, the atom's own smeared charge included. Both conventions
hold for molecules and for periodic cells alike and are those of graph-longrange. Units: e, e·Å, Å,
eV and V.

Molecules take the closed pair formula, periodic cells and slabs the k-space sum of graph-longrange,
slabs with a correction. A batch holds molecules or periodic configurations, never both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sweep.libraries import (
    GTOElectrostaticEnergy,
    GTOElectrostaticFeatures,
    compute_k_vectors_flat,
    gto_basis_kspace_cutoff,
)
from sweep.models.electrostatics.corrections import BoundaryCorrection, boundary_correction
from sweep.models.electrostatics.molecules import (
    COULOMB_CONSTANT,
    MoleculeElectrostatics,
    radial_kernels,
)

__all__ = [
    "COULOMB_CONSTANT",
    "Electrostatics",
    "Interactions",
    "MoleculeElectrostatics",
    "PeriodicElectrostatics",
    "radial_kernels",
]


class Interactions(Protocol):
    """The Coulomb interactions at given positions, as functions of the multipoles."""

    def energy(self, multipoles: Tensor) -> Tensor:
        """Coulomb energy [G] in eV of multipoles [N, (max_l+1)²], without self-interaction."""
        ...

    def potential(self, multipoles: Tensor) -> Tensor:
        """Potential [N] in V of the whole smeared density at each nucleus, its own included."""
        ...


class Electrostatics(torch.nn.Module):
    """Coulomb interaction of the configurations of a batch under the chosen boundary conditions.

    Args:
        max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: standard deviation σ of the Gaussians, Å.
        kspace_cutoff_factor: see `PeriodicElectrostatics`.
        pbc_handling: see `sweep.models.electrostatics.boundaries`, which checks the configurations.
    """

    def __init__(
        self,
        max_l: int,
        smearing_width: float,
        kspace_cutoff_factor: float,
        pbc_handling: str = "auto",
    ) -> None:
        super().__init__()
        self.molecules_in_space = pbc_handling in ("auto", "realspace")
        self.molecules = MoleculeElectrostatics(max_l, smearing_width)
        self.cells = PeriodicElectrostatics(
            max_l, smearing_width, kspace_cutoff_factor, pbc_handling
        )

    def forward(
        self, positions: Tensor, batch: Mapping[str, Tensor], *, periodic: bool
    ) -> Interactions:
        """The interactions at `positions` [N, 3]; `periodic` tells what the batch holds."""
        solver = self.molecules if self.molecules_in_space and not periodic else self.cells
        interactions: Interactions = solver(positions, batch)
        return interactions


class PeriodicElectrostatics(torch.nn.Module):
    """Coulomb interaction in periodic cells by graph-longrange's sum over k-vectors.

    The mean potential of a cell is zero; a charged cell is neutralised by a uniform background. The
    potential of a slab is zero in the vacuum, on the average of its two sides, and that of a
    molecule in a box far away from it.

    Args:
        max_l: 0 for charges, 1 for charges and dipoles.
        smearing_width: standard deviation σ of the Gaussians, Å.
        kspace_cutoff_factor: times graph-longrange's own estimate of the largest k-vector needed,
            which is larger for dipoles. Energies of a molecular box are off by about 4e-4 eV with
            1.0 and 1e-7 eV with 1.5; charges alone (`max_l` 0) by 1e-5 eV per e² with 1.5.
        pbc_handling: `auto` and `mixed_periodic` go by the flags of each configuration, else all
            are `pbc` (cells), `slab` or `molecule_in_box`.
    """

    def __init__(
        self,
        max_l: int,
        smearing_width: float,
        kspace_cutoff_factor: float,
        pbc_handling: str = "auto",
    ) -> None:
        super().__init__()
        self.pbc_handling = pbc_handling
        self.smearing_width = smearing_width
        cutoff = kspace_cutoff_factor * gto_basis_kspace_cutoff([smearing_width], max_l)
        self.register_buffer("kspace_cutoff", torch.tensor(cutoff), persistent=False)
        self.density_energy = GTOElectrostaticEnergy(
            density_max_l=max_l,
            density_smearing_width=smearing_width,
            kspace_cutoff=cutoff,
            include_self_interaction=False,
            pbc_handling="pbc",
        )
        # of the features only the k-space sums and the potential at the nuclei are used
        self.features = GTOElectrostaticFeatures(
            density_max_l=max_l,
            density_smearing_width=smearing_width,
            feature_max_l=0,
            feature_smearing_widths=[smearing_width],
            include_self_interaction=True,
            kspace_cutoff=cutoff,
            integral_normalization="multipoles",
            pbc_handling="pbc",
        )

    def forward(self, positions: Tensor, batch: Mapping[str, Tensor]) -> LatticeInteractions:
        """The interactions in the cells `batch["cell"]` [3G, 3] at `positions` [N, 3]."""
        cell = batch["cell"].view(-1, 3, 3)
        reciprocal = 2.0 * math.pi * torch.linalg.inv(cell).mT
        k_vectors, k_norm2, k_batch, k0_mask = compute_k_vectors_flat(
            self.kspace_cutoff, cell, reciprocal
        )
        geometry = {
            "k_vectors": k_vectors,
            "k_norm2": k_norm2,
            "k_vector_batch": k_batch,
            "k0_mask": k0_mask,
            "node_positions": positions,
            "batch": batch["batch"],
            "volume": torch.linalg.det(cell).abs(),
            # repeated in all directions: what a slab has instead is added here, not there
            "pbc": torch.ones_like(batch["pbc"].view(-1, 3)),
        }
        correction = self._correction(positions, batch)
        return LatticeInteractions(self.density_energy, self.features, geometry, correction)

    def _correction(
        self, positions: Tensor, batch: Mapping[str, Tensor]
    ) -> BoundaryCorrection | None:
        """What the graphs that are no cells need; None if all are cells."""
        n_periodic = batch["pbc"].view(-1, 3).sum(dim=1)
        by_flags = self.pbc_handling in ("auto", "mixed_periodic")
        if by_flags:
            slab, molecule = n_periodic == 2, n_periodic == 0
            if bool((n_periodic == 3).all()):
                return None
        elif self.pbc_handling == "pbc":
            return None
        else:
            slab = torch.full_like(n_periodic, self.pbc_handling == "slab", dtype=torch.bool)
            molecule = ~slab
        return boundary_correction(
            positions, batch, self.smearing_width, slab=slab, molecule=molecule
        )


@dataclass(frozen=True)
class LatticeInteractions:
    """The interactions in periodic cells, by the modules of graph-longrange.

    Attributes:
        density_energy: energy of smeared multipoles.
        features: potential of smeared multipoles.
        geometry: k-vectors, positions and cells, by the names of both modules' arguments.
        correction: what slabs and molecules in boxes need; None if all are cells.
    """

    density_energy: GTOElectrostaticEnergy
    features: GTOElectrostaticFeatures
    geometry: Mapping[str, Tensor]
    correction: BoundaryCorrection | None = None

    def energy(self, multipoles: Tensor) -> Tensor:
        """Coulomb energy [G] in eV of multipoles [N, (max_l+1)²], without self-interaction."""
        energy: Tensor = self.density_energy(source_feats=multipoles, **self.geometry)
        if self.correction is not None:
            energy = energy + self.correction.energy(multipoles)
        return energy

    def potential(self, multipoles: Tensor) -> Tensor:
        """Potential [N] in V of the whole smeared density at each nucleus, its own included."""
        cache = self.features.precompute_geometry(**self.geometry)
        potential: Tensor = self.features.compute_esps(cache, multipoles, None)
        if self.correction is not None:
            potential = potential + self.correction.potential(multipoles)
        return potential
