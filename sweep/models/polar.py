"""mace-torch's PolarMACE: spin-resolved multipoles that are updated in their own field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from sweep.libraries import GTOElectrostaticEnergy, GTOElectrostaticFeatures, PolarMACE
from sweep.models.backbone import backbone_arguments
from sweep.models.cueq import with_cueq
from sweep.models.electrostatics.field_features import (
    MoleculeFieldFeatures,
    PairFieldFeatures,
    ScalesOfFeatures,
)
from sweep.models.electrostatics.molecules import MoleculeElectrostatics, PairInteractions
from sweep.models.model import Model, State
from sweep.models.polar_settings import PolarConfig
from sweep.models.settings import BackboneConfig, DataStatistics

__all__ = ["Polar"]

MOLECULE_CELL = 5.0
"""Å. PolarMACE lists the k-vectors of every graph, and uses them only for periodic ones. The number
grows with the volume, so a molecule gets a small cell for that."""


class Features(GTOElectrostaticFeatures):  # type: ignore[misc]  # the library has no types
    """graph-longrange's field features as PolarMACE of mace-torch 0.3 calls them.

    It was written for graph-longrange 0.4.0, whose calls have an argument more and another shape;
    the k-space sums of 0.4.0 have no stress. The library evaluates molecules in real space by
    finite differences, with which energies of PolarMACE change by 0.05 eV when a molecule is
    turned; here they take the closed formula.

    Attributes:
        molecules: the pairs of the batch that is being evaluated; None for periodic cells.
    """

    molecules: PairFieldFeatures | None

    def precompute_geometry(
        self, *, force_pbc_evaluator: bool = False, **geometry: Tensor
    ) -> dict[str, Any]:
        """As in the library, without the argument that is gone."""
        if self.molecules is not None:
            return {}
        cache: dict[str, Any] = super().precompute_geometry(**geometry)
        return cache

    def forward_dynamic(
        self, *, cache: dict[str, Any], source_feats: Tensor, pbc: Tensor
    ) -> Tensor:
        """As in the library, for multipoles [N, 1, (l_max+1)²]."""
        multipoles = source_feats.squeeze(-2)
        if self.molecules is not None:
            return self.molecules.features(multipoles)
        features: Tensor = super().forward_dynamic(cache, multipoles)
        return features


class Energy(GTOElectrostaticEnergy):  # type: ignore[misc]
    """graph-longrange's Coulomb energy as PolarMACE of mace-torch 0.3 calls it; see `Features`.

    Attributes:
        molecules: the pairs of the batch that is being evaluated; None for periodic cells.
    """

    molecules: PairInteractions | None

    def forward(
        self, *, force_pbc_evaluator: bool = False, source_feats: Tensor, **geometry: Tensor
    ) -> Tensor:
        """As in the library, without the argument that is gone."""
        if self.molecules is not None:
            return self.molecules.energy(source_feats)
        energy: Tensor = super().forward(source_feats=source_feats, **geometry)
        return energy


class Polar(Model):
    """mace-torch's PolarMACE as `mace_run_train` builds it, for molecules and periodic cells.

    It starts from multipoles of the atoms' surroundings for each spin, and updates them
    `num_recursion_steps` times with features of the field that they make. The total charge is
    imposed, and read from the data; so is the multiplicity, 1 where the data have none.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """

    family: ClassVar[str] = "polar"
    outputs = frozenset({"energy", "forces", "density_coefficients", "dipole"})

    def __init__(self, settings: PolarConfig, statistics: DataStatistics) -> None:
        super().__init__(settings, statistics)
        self.backbone = PolarMACE(
            **backbone_arguments(settings, statistics),
            kspace_cutoff_factor=settings.kspace_cutoff_factor,
            atomic_multipoles_max_l=settings.atomic_multipoles_max_l,
            atomic_multipoles_smearing_width=settings.atomic_multipoles_smearing_width,
            field_feature_max_l=settings.field_feature_max_l,
            field_feature_widths=list(settings.field_feature_widths),
            field_feature_norms=settings.field_feature_norms,
            field_norm_factor=settings.field_norm_factor,
            field_si=settings.field_si,
            num_recursion_steps=settings.num_recursion_steps,
            add_local_electron_energy=settings.add_local_electron_energy,
        )
        self._adapt()
        max_l = settings.atomic_multipoles_max_l
        width = settings.atomic_multipoles_smearing_width
        self.molecule_energy = MoleculeElectrostatics(max_l, width)
        self.molecule_features = MoleculeFieldFeatures(
            max_l,
            width,
            ScalesOfFeatures(tuple(settings.field_feature_widths), settings.field_feature_max_l),
            self_interaction=settings.field_si,
        )

    def _adapt(self) -> None:
        # The class, not the module: names of the parameters stay those of mace-torch.
        self.backbone.electric_potential_descriptor.__class__ = Features
        self.backbone.coulomb_energy.__class__ = Energy
        for part in self._adapted:
            part.set_pbc_handling("pbc")

    @property
    def _adapted(self) -> tuple[Features, Energy]:
        parts = (self.backbone.electric_potential_descriptor, self.backbone.coulomb_energy)
        return cast(tuple[Features, Energy], parts)

    def use_cueq(self, settings: BackboneConfig) -> None:
        """See `Model.use_cueq`; PolarMACE turns its features itself."""
        self.backbone = with_cueq(self.backbone, keep_last_layer_irreps=True)
        self._adapt()

    def conserves_charge(self, **options: Any) -> bool:
        """The total charge is imposed."""
        return True

    def inputs(self, **options: Any) -> tuple[str, ...]:
        """It starts from the total charge."""
        return ("total_charge",)

    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool, **options: Any) -> State:
        """Energy and multipoles at `batch["positions"]`, nothing differentiated."""
        positions, charge = batch["positions"], batch["total_charge"]
        cell = batch["cell"].view(-1, 3, 3)
        if not periodic:
            identity = torch.eye(3, dtype=cell.dtype, device=cell.device)
            cell = (MOLECULE_CELL * identity).expand_as(cell)
        spin = batch.get("total_spin")
        spin = torch.ones_like(charge) if spin is None else torch.where(spin > 0, spin, 1.0)
        field = batch.get("external_field")
        # mace-torch writes into the mapping and switches gradients on for the positions it is given
        inputs = {
            **batch,
            "positions": positions.view_as(positions),
            "cell": cell.reshape(-1, 3),
            "rcell": (2.0 * math.pi * torch.linalg.inv(cell).mT).reshape(-1, 3),
            "volume": torch.linalg.det(cell).abs(),
            "total_spin": spin,
            "fermi_level": torch.zeros_like(charge),
            "external_field": charge.new_zeros(charge.shape[0], 3) if field is None else field,
        }
        features, coulomb = self._adapted
        # PolarMACE hands on positions and cells only, so the pairs are put where they are used.
        features.molecules = None if periodic else self.molecule_features(positions, batch)
        coulomb.molecules = None if periodic else self.molecule_energy(positions, batch)
        found = self.backbone(inputs, training=True, compute_force=False)
        features.molecules = coulomb.molecules = None
        return State(
            energy=found["energy"],
            interaction_energy=found["energy"],
            outputs={
                "density_coefficients": found["density_coefficients"],
                "dipole": found["dipole"],
            },
        )
