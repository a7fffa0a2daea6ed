r"""The self-consistent family: the density answers to the field that it makes itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sweep.models.backbone import build_backbone
from sweep.models.electrostatics.coulomb import Electrostatics
from sweep.models.electrostatics.field_features import (
    CellFieldFeatures,
    FieldFeatures,
    MoleculeFieldFeatures,
    ScalesOfFeatures,
)
from sweep.models.electrostatics.molecules import self_energy
from sweep.models.fixed_point.readouts import DensityEnergy, FieldResponse
from sweep.models.fixed_point.self_consistency import DensityEquation, pseudo_random
from sweep.models.fixed_point.settings import FixedPointConfig, FixedPointOptions, ScfOptions
from sweep.models.local_charges import MultipoleReadout
from sweep.models.model import Model, State
from sweep.models.settings import DataStatistics

__all__ = ["FixedPoint"]

SCF_OUTPUTS = frozenset({"charges_history", "perturbing_vector", "perturbed_density", "dq_dmu"})
"""What only an iteration of the density returns."""


class FixedPoint(Model):
    r"""A MACE potential whose multipoles are the fixed point of their own electrostatics.

    .. math:: p = p_\mathrm{loc}(h) - R(h)\, f[p, \mathbf E_\mathrm{ext}, \mu]

    with node features :math:`h`, a linear response :math:`R` and the features :math:`f` of the
    field around each atom: that of the density, the applied one, and the Fermi level :math:`\mu`,
    which acts as a potential that is the same everywhere. A potential pulls electrons in, as a
    higher Fermi level does, so both lower the charge. The energy is

        E = E_MACE + E_Coulomb(p) + E_density(h, p, f) + dipole · external_field

    It is evaluated at the final density and not minimised by it.

    One update is linear in :math:`\mu`, so at constant charge each takes the level at which the
    total charge is exactly the given one, and the level of the final density is an output.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """

    family: ClassVar[str] = "fixed_point"
    outputs = SCF_OUTPUTS | {
        "energy",
        "forces",
        "density_coefficients",
        "dipole",
        "esps",
        "esps_dft",
        "feats_no_mu_model",
        "feats_no_mu_dft",
        "fermi_level",
        "loss_weight_modifier",
    }

    fermi_level_offset: Tensor
    field_feature_norms: Tensor
    uniform: Tensor

    def __init__(self, settings: FixedPointConfig, statistics: DataStatistics) -> None:
        super().__init__(settings, statistics)
        self.max_l = settings.atomic_multipoles_max_l
        self.self_interaction = settings.include_electrostatic_self_interaction
        self.smearing_width = width = settings.atomic_multipoles_smearing_width
        self.scales = ScalesOfFeatures(
            tuple(settings.field_feature_widths), settings.field_feature_max_l
        )
        self.backbone = build_backbone(settings, statistics)
        self.multipoles = MultipoleReadout(settings, statistics)
        self.response = FieldResponse(settings, self.scales)
        self.density_energy = (
            DensityEnergy(settings, statistics, self.scales)
            if settings.include_local_electron_energy
            else None
        )
        factor = settings.kspace_cutoff_factor
        self.electrostatics = Electrostatics(self.max_l, width, factor)
        own = settings.include_field_si
        self.molecules = MoleculeFieldFeatures(self.max_l, width, self.scales, self_interaction=own)
        self.cells = CellFieldFeatures(self.max_l, width, self.scales, factor, self_interaction=own)
        self._given_norms = settings.field_feature_norms
        self._given_offset = settings.fermi_level_offset
        given = self._given_norms if isinstance(self._given_norms, list) else None
        norms = given or [1.0] * len(self.scales.widths) * (self.scales.max_l + 1)
        self.register_buffer(
            "field_feature_norms",
            self._per_feature(torch.tensor(norms, dtype=torch.get_default_dtype())),
        )
        self.register_buffer(
            "fermi_level_offset",
            torch.tensor(self._given_offset or 0.0, dtype=torch.get_default_dtype()),
        )
        uniform = self.scales.applied(torch.ones(1), torch.zeros(1, 3))[0]
        self.register_buffer("uniform", uniform, persistent=False)

    # What the trainer asks

    def reason_against(self, output: str, **options: Any) -> str | None:
        """See `Model.reason_against`."""
        fixed_point: FixedPointOptions | None = options.get("fixed_point")
        if fixed_point is not None:
            scf = fixed_point.scf
            if scf is None and output in SCF_OUTPUTS:
                return f"mode 'direct' iterates nothing and has no {output}; needs mode unroll_scf"
            if scf is None and output == "fermi_level":
                return "mode 'direct' takes the Fermi level from the data; needs mode unroll_scf"
            if scf is not None and not scf.constant_charge and output == "fermi_level":
                return "the Fermi level is given where constant_charge is false"
        return super().reason_against(output, **options)

    def conserves_charge(self, **options: Any) -> bool:
        """See `Model.conserves_charge`."""
        scf: ScfOptions | None = options["fixed_point"].scf
        return scf is not None and scf.constant_charge

    def inputs(self, **options: Any) -> tuple[str, ...]:
        """See `Model.inputs`."""
        scf: ScfOptions | None = options["fixed_point"].scf
        if scf is None:
            return ("density_coefficients", "fermi_level")
        needed = []
        if scf.initial_density == "from_data":
            needed.append("density_coefficients")
        if scf.constant_charge:
            needed.append("total_charge")
        elif scf.initial_fermi_level == "from_data":
            needed.append("fermi_level")
        return tuple(needed)

    @torch.no_grad()
    def reference(self, batch: Mapping[str, Tensor], *, periodic: bool) -> dict[str, Tensor]:
        """`esps_dft` [N] and `feats_no_mu_dft` [N, F] of the reference multipoles."""
        density = self._reference_multipoles(batch)
        positions = batch["positions"]
        interactions = self.electrostatics(positions, batch, periodic=periodic)
        fields = self._fields(positions, batch, periodic)
        return {
            "esps_dft": interactions.potential(density),
            "feats_no_mu_dft": fields.features(density) / self.field_feature_norms,
        }

    @torch.no_grad()
    def prepare(self, batches: Iterable[tuple[Mapping[str, Tensor], bool]]) -> None:
        """Mean Fermi level and root mean square of the field features of the training set."""
        sums = self.field_feature_norms.new_zeros(len(self.field_feature_norms) + 3)
        for batch, periodic in batches:
            fields = self._fields(batch["positions"], batch, periodic)
            labelled = (batch["density_coefficients_weight"] > 0)[batch["batch"]]
            features = fields.features(self._reference_multipoles(batch))
            with_level = (batch["fermi_level_weight"] > 0).to(sums.dtype)
            sums = sums + torch.cat(
                [
                    (features.square() * labelled.unsqueeze(-1)).sum(dim=0),
                    labelled.sum().to(sums.dtype).view(1),
                    (batch["fermi_level"] * with_level).sum().view(1),
                    with_level.sum().view(1),
                ]
            )
        n_atoms, level, n_levels = sums[-3:]
        if self._given_offset is None:
            self.fermi_level_offset.copy_(level / n_levels.clamp(min=1.0))
        if self._given_norms == "average" and bool(n_atoms > 0):
            n_widths = len(self.scales.widths)
            mean = (sums[:-3] / n_atoms).tolist()
            # one norm for all components of a width and l
            per_width = mean[:n_widths]
            for start in range(n_widths, len(mean), 3):
                per_width.append(sum(mean[start : start + 3]) / 3)
            norms = torch.tensor(per_width).sqrt().clamp(min=1e-6)
            self.field_feature_norms.copy_(self._per_feature(norms))

    # The prediction

    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool, **options: Any) -> State:
        """Density, energy and potentials at `batch["positions"]`, nothing differentiated.

        The option `fixed_point` says how the density is found.
        """
        scf: ScfOptions | None = options["fixed_point"].scf
        positions, index = batch["positions"], batch["batch"]
        inputs = {**batch, "positions": positions.view_as(positions)}
        backbone = self.backbone(inputs, compute_force=False)
        node_feats = backbone["node_feats"]
        local = self.multipoles(node_feats, batch["node_attrs"])
        field = batch.get("external_field")
        if field is None:
            field = positions.new_zeros(batch["ptr"].numel() - 1, 3)
        equation = DensityEquation(
            local=local,
            response=self.response(node_feats),
            fields=self._fields(positions, batch, periodic),
            applied=self.scales.applied((field[index] * positions).sum(-1), field[index]),
            uniform=self.uniform,
            graph=index,
            n_graphs=batch["ptr"].numel() - 1,
            total_charge=None if scf is None or not scf.constant_charge else batch["total_charge"],
        )
        outputs: dict[str, Tensor] = {}
        if scf is None:
            level = batch["fermi_level"] - self.fermi_level_offset
            density = equation.update(self._reference_multipoles(batch), level)
        else:
            level = self._given_level(batch, scf)
            start = local
            if scf.initial_density == "from_data":
                start = self._reference_multipoles(batch)
            history, outputs["loss_weight_modifier"] = equation.iterate(start, level, scf)
            density = history[-1]
            outputs["charges_history"] = torch.stack(history, dim=-1)
            outputs["dq_dmu"] = -equation.total(equation.response.fukui)
            outputs["perturbing_vector"] = pseudo_random(density)
            outputs["perturbed_density"] = equation.change(outputs["perturbing_vector"])

        own = equation.fields.features(density)
        level = equation.level(own, level)
        features = equation.effective(own, level) / self.field_feature_norms
        interactions = self.electrostatics(positions, batch, periodic=periodic)
        atomic = density[:, :1] * positions
        if self.max_l == 1:
            atomic = atomic + torch.roll(density[:, 1:], 1, dims=-1)  # (y, z, x) -> (x, y, z)
        dipole = equation.total(atomic)
        energy = interactions.energy(density) + (dipole * field).sum(-1)
        if self.self_interaction:
            energy = energy + equation.total(self_energy(density, self.smearing_width))
        if self.density_energy is not None:
            energy = energy + equation.total(self.density_energy(node_feats, density, features))
        outputs |= {
            "density_coefficients": density,
            "dipole": dipole,
            "fermi_level": level + self.fermi_level_offset,
            "esps": interactions.potential(density),
            "feats_no_mu_model": own / self.field_feature_norms,
        }
        if "esps_dft" in batch:
            outputs |= {name: batch[name] for name in ("esps_dft", "feats_no_mu_dft")}
        else:
            outputs |= self.reference(batch, periodic=periodic)
        return State(
            energy=backbone["energy"] + energy,
            interaction_energy=backbone["interaction_energy"] + energy,
            outputs=outputs,
        )

    def _fields(
        self, positions: Tensor, batch: Mapping[str, Tensor], periodic: bool
    ) -> FieldFeatures:
        fields: FieldFeatures = (self.cells if periodic else self.molecules)(positions, batch)
        return fields

    def _given_level(self, batch: Mapping[str, Tensor], scf: ScfOptions) -> Tensor:
        """The Fermi level [G] where it is given and not the charge, relative to the offset."""
        level = batch["fermi_level"]
        if scf.constant_charge or scf.initial_fermi_level == "zero":
            level = torch.zeros_like(level)
        return level - self.fermi_level_offset

    def _reference_multipoles(self, batch: Mapping[str, Tensor]) -> Tensor:
        return batch["density_coefficients"][:, : (self.max_l + 1) ** 2]

    def _per_feature(self, per_width: Tensor) -> Tensor:
        """One number per width and l, repeated for the components of l = 1."""
        n_widths = len(self.scales.widths)
        return torch.cat([per_width[:n_widths], per_width[n_widths:].repeat_interleave(3)])
