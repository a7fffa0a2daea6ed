"""The local-source family: a MACE potential whose atoms carry charges and dipoles that interact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

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
from sweep.models.electrostatics import (
    Interactions,
    MoleculeElectrostatics,
    PeriodicElectrostatics,
)
from sweep.models.settings import DataStatistics, LocalChargesConfig

__all__ = ["LocalCharges", "State"]


class State(NamedTuple):
    """What the model says of a batch before anything is differentiated.

    Attributes:
        energy: [G] total energy, eV.
        interaction_energy: [G] total energy without the atomic energies: the same derivatives, and
            in float32 without the rounding that adding large constants brings.
        density_coefficients: [N, (l_max+1)²] atomic multipoles Q, d_y, d_z, d_x in e and e·Å.
        dipole: [G, 3] Cartesian, e·Å.
        esps: [N] potential of these multipoles at the atoms, V.
        esps_dft: [N] potential of the reference multipoles, V; a label, without a gradient.
    """

    energy: Tensor
    interaction_energy: Tensor
    density_coefficients: Tensor
    dipole: Tensor
    esps: Tensor
    esps_dft: Tensor


class LocalCharges(torch.nn.Module):
    """A MACE potential plus the Coulomb interaction of atomic multipoles that it predicts itself.

    The multipoles of an atom are read from its node features, so they depend on the atoms within
    `num_interactions` times `r_max`; no charge flows further and the total charge is learned, not
    imposed. The energy is

        E = E_MACE + E_Coulomb(multipoles, without self-interaction) + dipole · external_field

    where `external_field` is minus the physical field and the dipole is `Σ (q_i r_i + d_i)` with
    the positions as they are (in a periodic cell: neither wrapped nor unwrapped).

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """

    family: ClassVar[str] = "local_charges"
    outputs: ClassVar[frozenset[str]] = frozenset(
        {"energy", "forces", "stress", "density_coefficients", "dipole", "esps", "esps_dft"}
    )

    def __init__(self, settings: LocalChargesConfig, statistics: DataStatistics) -> None:
        super().__init__()
        self.max_l = settings.atomic_multipoles_max_l
        self.backbone = build_backbone(settings, statistics)
        self.multipoles = MultipoleReadout(settings, statistics)
        width = settings.atomic_multipoles_smearing_width
        self.molecules = MoleculeElectrostatics(self.max_l, width)
        self.cells = PeriodicElectrostatics(self.max_l, width, settings.kspace_cutoff_factor)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        *,
        periodic: bool,
        compute_force: bool = True,
        compute_stress: bool = False,
        training: bool = False,
    ) -> dict[str, Tensor]:
        """Predict every output for a batch; the batch and its tensors stay as they are.

        Args:
            batch: the batch (`sweep.data` describes its keys). `pair_index` is needed for
                molecules, `external_field` and `esps_dft` are used if present.
            periodic: whether the batch holds periodic cells or molecules; never both.
            compute_force: return forces. They need gradients, also within `torch.no_grad()`.
            compute_stress: return forces and the stress dE/dε / V of periodic cells.
            training: keep the graph, so that a loss of any output can be differentiated with
                respect to the parameters. Otherwise all outputs are detached.

        Returns:
            The outputs by their names, `outputs` less `forces` and `stress` where not asked for.
        """
        differentiate = compute_force or compute_stress
        with torch.set_grad_enabled(training or differentiate):
            leaf = batch["positions"].detach().requires_grad_(differentiate)
            inputs = {**batch, "positions": leaf}
            strain = None
            if compute_stress:
                strain = leaf.new_zeros(batch["ptr"].numel() - 1, 3, 3).requires_grad_(True)
                inputs = _strained(inputs, strain)
            state = self.evaluate(inputs, periodic=periodic)
            results = {
                "energy": state.energy,
                "density_coefficients": state.density_coefficients,
                "dipole": state.dipole,
                "esps": state.esps,
                "esps_dft": state.esps_dft,
            }
            if differentiate:
                variables = [leaf] if strain is None else [leaf, strain]
                gradients = torch.autograd.grad(
                    state.interaction_energy.sum(), variables, create_graph=training
                )
                results["forces"] = -gradients[0]
                if strain is not None:
                    volume = torch.linalg.det(batch["cell"].view(-1, 3, 3)).abs()
                    results["stress"] = gradients[1] / volume.view(-1, 1, 1)
        return results if training else {name: value.detach() for name, value in results.items()}

    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool) -> State:
        """Energy, multipoles and potentials at `batch["positions"]`, nothing differentiated.

        This part takes no derivative and modifies nothing, so `torch.func` can transform it.
        """
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
        dipole = atomic.new_zeros(energy.shape[0], 3).index_add(0, index, atomic)
        if "external_field" in batch:
            energy = energy + (dipole * batch["external_field"]).sum(-1)
        reference = batch.get("esps_dft")
        if reference is None:
            with torch.no_grad():
                reference = interactions.potential(self._reference_multipoles(batch))
        return State(
            energy=backbone["energy"] + energy,
            interaction_energy=backbone["interaction_energy"] + energy,
            density_coefficients=multipoles,
            dipole=dipole,
            esps=interactions.potential(multipoles),
            esps_dft=reference,
        )

    @torch.no_grad()
    def reference_potentials(self, batch: Mapping[str, Tensor], periodic: bool) -> Tensor:
        """Potential [N] of the reference multipoles of a batch at its atoms, V.

        It depends on no parameter: compute it once per configuration and store it as `esps_dft`.
        """
        interactions = self._interactions(batch, periodic)
        return interactions.potential(self._reference_multipoles(batch))

    def _interactions(self, batch: Mapping[str, Tensor], periodic: bool) -> Interactions:
        solver = self.cells if periodic else self.molecules
        interactions: Interactions = solver(batch["positions"], batch)
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

    def __init__(self, settings: LocalChargesConfig, statistics: DataStatistics) -> None:
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


def _strained(batch: dict[str, Tensor], strain: Tensor) -> dict[str, Tensor]:
    """The batch with positions, shifts and cells under the symmetric part of `strain` [G, 3, 3]."""
    symmetric = 0.5 * (strain + strain.mT)
    index, source = batch["batch"], batch["edge_index"][0]

    def moved(vectors: Tensor, graph: Tensor) -> Tensor:
        return vectors + torch.einsum("ij,ijk->ik", vectors, symmetric[graph])

    cell = batch["cell"].view(-1, 3, 3)
    return {
        **batch,
        "positions": moved(batch["positions"], index),
        "shifts": moved(batch["shifts"], index[source]),
        "cell": (cell + cell @ symmetric).view(-1, 3),
    }
