"""The local-source family: a MACE potential whose atoms carry charges and dipoles that interact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sweep.libraries import (
    LinearDipoleReadoutBlock,
    LinearReadoutBlock,
    NonLinearDipoleReadoutBlock,
    NonLinearReadoutBlock,
    gate_dict,
    o3,
)
from sweep.models.backbone import build_backbone, hidden_irreps
from sweep.models.electrostatics.coulomb import Electrostatics, Interactions
from sweep.models.electrostatics.molecules import self_energy
from sweep.models.model import Model, State
from sweep.models.polarizability import PolarizabilityReadout
from sweep.models.settings import ChargesConfig, DataStatistics, LocalChargesConfig

__all__ = ["LocalCharges", "MultipoleReadout"]


class LocalCharges(Model):
    """A MACE potential plus the Coulomb interaction of atomic multipoles that it predicts itself.

    The multipoles of an atom are read from its node features, so they depend on the atoms within
    `num_interactions` times `r_max`; no charge flows further and the total charge is learned, not
    imposed. The energy is

        E = E_MACE + E_Coulomb(multipoles) + dipole · external_field

    where `external_field` is minus the physical field and the dipole is `Σ (q_i r_i + d_i)` with
    the positions as they are (in a periodic cell: neither wrapped nor unwrapped). `E_Coulomb` is
    without the self-interaction of atoms, unless `include_electrostatic_self_interaction`. With
    `polarizability`, atomic polarizabilities are read from the features too; they act on no energy.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """

    family: ClassVar[str] = "local_charges"
    outputs = frozenset(
        {"energy", "forces", "stress", "density_coefficients", "dipole", "esps", "esps_dft"}
    )

    def __init__(self, settings: LocalChargesConfig, statistics: DataStatistics) -> None:
        super().__init__(settings, statistics)
        self.max_l = settings.atomic_multipoles_max_l
        self.backbone = build_backbone(settings, statistics)
        self.multipoles = MultipoleReadout(settings, statistics)
        self.self_interaction = settings.include_electrostatic_self_interaction
        self.smearing_width = settings.atomic_multipoles_smearing_width
        self.electrostatics = Electrostatics(
            self.max_l,
            self.smearing_width,
            settings.kspace_cutoff_factor,
            settings.pbc_handling,
        )
        self.polarizability: PolarizabilityReadout | None = None
        if settings.polarizability:
            self.polarizability = PolarizabilityReadout(settings, statistics)
            self.outputs = self.outputs | {"polarizability"}

    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool, **options: Any) -> State:
        """Energy, multipoles and potentials at `batch["positions"]`, nothing differentiated."""
        positions, index = batch["positions"], batch["batch"]
        # mace-torch writes into the mapping and switches gradients on for the positions it is given
        inputs = {**batch, "positions": positions.view_as(positions)}
        backbone = self.backbone(inputs, compute_force=False)
        multipoles = self.multipoles(backbone["node_feats"], batch["node_attrs"])
        interactions = self._interactions(batch, periodic)

        atomic = multipoles[:, :1] * positions
        if self.max_l == 1:
            atomic = atomic + torch.roll(multipoles[:, 1:], 1, dims=-1)  # (y, z, x) -> (x, y, z)
        energy = interactions.energy(multipoles)
        if self.self_interaction:
            energy = energy.index_add(0, index, self_energy(multipoles, self.smearing_width))
        dipole = atomic.new_zeros(energy.shape[0], 3).index_add(0, index, atomic)
        if "external_field" in batch:
            energy = energy + (dipole * batch["external_field"]).sum(-1)
        reference = batch.get("esps_dft")
        if reference is None:
            with torch.no_grad():
                reference = interactions.potential(self._reference_multipoles(batch))
        outputs = {
            "density_coefficients": multipoles,
            "dipole": dipole,
            "esps": interactions.potential(multipoles),
            "esps_dft": reference,
        }
        if self.polarizability is not None:
            atomic = self.polarizability(backbone["node_feats"], batch["node_attrs"])
            zeros = atomic.new_zeros(energy.shape[0], 3, 3)
            outputs["polarizability"] = zeros.index_add(0, index, atomic)
        return State(
            energy=backbone["energy"] + energy,
            interaction_energy=backbone["interaction_energy"] + energy,
            outputs=outputs,
        )

    def reason_against(self, output: str, **options: Any) -> str | None:
        """See `Model.reason_against`."""
        if output == "polarizability" and self.polarizability is None:
            return "the model does not return polarizability; set model.polarizability=true"
        return super().reason_against(output, **options)

    @torch.no_grad()
    def reference(self, batch: Mapping[str, Tensor], *, periodic: bool) -> dict[str, Tensor]:
        """`esps_dft` [N]: potential of the reference multipoles of a batch at its atoms, V."""
        interactions = self._interactions(batch, periodic)
        return {"esps_dft": interactions.potential(self._reference_multipoles(batch))}

    def _interactions(self, batch: Mapping[str, Tensor], periodic: bool) -> Interactions:
        interactions: Interactions = self.electrostatics(
            batch["positions"], batch, periodic=periodic
        )
        return interactions

    def _reference_multipoles(self, batch: Mapping[str, Tensor]) -> Tensor:
        return batch["density_coefficients"][:, : (self.max_l + 1) ** 2]


class MultipoleReadout(torch.nn.Module):
    """Atomic multipoles from node features, as MACE reads energies from them.

    Every layer but the last is read linearly, the last through a small gated nonlinearity; the sum
    is scaled to the size of the training set's multipoles and added to a charge per element, which
    starts at the mean of the training set and is learned.

    Args:
        settings: the model's settings, checked.
        statistics: mean charges and scales of the training set.
    """

    reference_charges: Tensor
    scale: Tensor

    def __init__(self, settings: ChargesConfig, statistics: DataStatistics) -> None:
        super().__init__()
        irreps = hidden_irreps(settings)
        self.features = irreps.dim
        self.max_l = settings.atomic_multipoles_max_l
        width = o3.Irreps(settings.MLP_irreps).count("0e")
        gate = gate_dict[settings.gate]
        last: torch.nn.Module
        if self.max_l == 1:
            linear = LinearDipoleReadoutBlock
            last = NonLinearDipoleReadoutBlock(irreps, o3.Irreps(f"{width}x0e+{width}x1o"), gate)
        else:
            linear = LinearReadoutBlock
            last = NonLinearReadoutBlock(irreps, o3.Irreps(f"{width}x0e"), gate)
        self.layers = torch.nn.ModuleList(
            [*(linear(irreps) for _ in range(settings.num_interactions - 1)), last]
        )
        dtype = torch.get_default_dtype()  # a tensor of numpy numbers would be float64
        means = statistics.mean_charges or (0.0,) * len(statistics.atomic_numbers)
        self.reference_charges = torch.nn.Parameter(torch.tensor(means, dtype=dtype).unsqueeze(-1))
        scale = [statistics.charge_scale, *[statistics.dipole_scale] * 3]
        self.register_buffer("scale", torch.tensor(scale[: (self.max_l + 1) ** 2], dtype=dtype))

    def forward(self, node_feats: Tensor, node_attrs: Tensor) -> Tensor:
        """Multipoles [N, (l_max+1)²] as Q, d_y, d_z, d_x from the features of all layers.

        Args:
            node_feats: [N, layers x features] as the backbone returns them.
            node_attrs: [N, n_elements] one-hot elements.
        """
        blocks = torch.split(node_feats, self.features, dim=-1)
        total: Tensor = sum(layer(block) for layer, block in zip(self.layers, blocks, strict=True))
        total = total * self.scale
        charges = total[:, :1] + node_attrs @ self.reference_charges
        # MACE's vectors are (x, y, z), multipoles (y, z, x)
        return torch.cat([charges, torch.roll(total[:, 1:], -1, dims=-1)], dim=-1)
