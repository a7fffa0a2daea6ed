"""What a fixed-point model reads from the node features: response to a field, energy of a density.

Both are functions of the invariant features of an atom, so both are exactly equivariant.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sweep.libraries import gate_dict, o3
from sweep.models.backbone import hidden_irreps
from sweep.models.electrostatics.field_features import ScalesOfFeatures
from sweep.models.fixed_point.settings import FixedPointConfig
from sweep.models.settings import DataStatistics

__all__ = ["DensityEnergy", "FieldResponse", "Response", "ScalarNetwork"]

CHARGE_RESPONSE = 0.02
"""What the response of an atom's charge starts from, e/V; a hardness of 50 V/e."""
DIPOLE_RESPONSE = 0.02
"""What the response of an atom's dipole starts from, e·Å²/V; 0.3 Å³ of polarizability."""

LEAK = 0.05
"""How far below zero the response of an atom can fall, in units of what it starts from."""
_SOFTPLUS_IS_1 = math.log(math.e - 1.0)


class ScalarNetwork(torch.nn.Module):
    """A small network of the invariant (l = 0) features of all layers of an atom.

    Args:
        settings: the model's settings, checked.
        n_outputs: numbers per atom.
        scale: of the outputs at the start, which are then about normally distributed.
    """

    def __init__(self, settings: FixedPointConfig, n_outputs: int, scale: float) -> None:
        super().__init__()
        self.features = hidden_irreps(settings).dim
        self.n_scalars = settings.num_channels  # the irreps are sorted: scalars come first
        width = o3.Irreps(settings.MLP_irreps).count("0e")
        self.up = torch.nn.Linear(settings.num_interactions * self.n_scalars, width, bias=False)
        self.down = torch.nn.Linear(width, n_outputs)
        self.gate = gate_dict[settings.gate]
        torch.nn.init.normal_(self.up.weight, std=self.up.in_features**-0.5)
        torch.nn.init.normal_(self.down.weight, std=scale * width**-0.5)
        torch.nn.init.zeros_(self.down.bias)

    def forward(self, node_feats: Tensor) -> Tensor:
        """Numbers [N, n_outputs] from node_feats [N, layers x features]."""
        blocks = torch.split(node_feats, self.features, dim=-1)
        scalars = torch.cat([block[:, : self.n_scalars] for block in blocks], dim=-1)
        outputs: Tensor = self.down(self.gate(self.up(scalars)))
        return outputs


class Response(NamedTuple):
    """How the multipoles of each atom answer to the field features: linearly.

    Attributes:
        charge: [N, W] fall of the charge per feature with l = 0, e/V.
        dipole: [N, W] fall of the dipole per feature with l = 1, e·Å/V; None without l = 1.
        fukui: [N] fall of the charge with a potential, the same everywhere, e/V: what the Fermi
            level acts on.
    """

    charge: Tensor
    dipole: Tensor | None
    fukui: Tensor

    def density(self, features: Tensor, n_components: int) -> Tensor:
        """The change [N, n_components] of the multipoles by features [N, F]."""
        n_widths = self.charge.shape[1]
        change = -(self.charge * features[:, :n_widths]).sum(dim=1, keepdim=True)
        if n_components == 1:
            return change
        if self.dipole is None:
            return torch.cat([change, change.new_zeros(change.shape[0], 3)], dim=1)
        gradients = features[:, n_widths:].unflatten(1, (n_widths, 3))
        return torch.cat([change, -torch.einsum("nw,nwc->nc", self.dipole, gradients)], dim=1)


class FieldResponse(torch.nn.Module):
    """The coefficients of the linear response of each atom.

    They start near those of an ordinary insulator, `CHARGE_RESPONSE` and `DIPOLE_RESPONSE` shared
    evenly by the widths, and cannot fall below `-LEAK` times that. Without a bound, direct training
    often ends where the response of a whole molecule to the Fermi level is zero, and the level at a
    given charge infinite. Just below zero is left open: that charges fall with the Fermi level is
    taught by the data and by the term `fermi_level_gradient`.

    Args:
        settings: the model's settings, checked.
        scales: normalisation of the features.
    """

    scale: Tensor

    def __init__(self, settings: FixedPointConfig, scales: ScalesOfFeatures) -> None:
        super().__init__()
        self.n_widths = len(scales.widths)
        self.per_potential = scales.per_potential
        self.with_dipoles = settings.atomic_multipoles_max_l == 1 and scales.max_l == 1
        start = [CHARGE_RESPONSE / scales.per_potential] * self.n_widths
        if self.with_dipoles:
            start += [DIPOLE_RESPONSE / scales.per_gradient(width) for width in scales.widths]
        self.network = ScalarNetwork(settings, len(start), scale=0.1)
        scale = torch.tensor(start) / self.n_widths
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, node_feats: Tensor) -> Response:
        """The response of every atom from node_feats [N, layers x features]."""
        softened = torch.nn.functional.softplus(self.network(node_feats) + _SOFTPLUS_IS_1)
        coefficients = self.scale * ((1.0 + LEAK) * softened - LEAK)
        charge = coefficients[:, : self.n_widths]
        dipole = coefficients[:, self.n_widths :] if self.with_dipoles else None
        return Response(charge, dipole, self.per_potential * charge.sum(dim=1))


class DensityEnergy(torch.nn.Module):
    r"""An energy of each atom that depends on its multipoles and on the field that it feels.

    .. math:: E_i = a_i q_i + b_i q_i^2 + \sum_w c_{iw} q_i f_{iw,0}
        + g_i |\mathbf d_i|^2 + \sum_w h_{iw} \mathbf d_i \cdot \mathbf f_{iw,1}

    with coefficients from the invariant features of the atom, multipoles in units of their scale in
    the training set and normalised features. The density is the solution of a learned equation and
    no minimum of the energy, so the energy that it costs must be learned separately.

    Args:
        settings: the model's settings, checked.
        statistics: scales of the training set.
        scales: normalisation of the features.
    """

    def __init__(
        self, settings: FixedPointConfig, statistics: DataStatistics, scales: ScalesOfFeatures
    ) -> None:
        super().__init__()
        self.n_widths = len(scales.widths)
        self.charge_scale = math.hypot(statistics.charge_scale, *statistics.mean_charges)
        self.dipole_scale = statistics.dipole_scale
        self.with_dipoles = settings.atomic_multipoles_max_l == 1
        self.with_gradients = self.with_dipoles and scales.max_l == 1
        n_invariants = 2 + self.n_widths + self.with_dipoles + self.with_gradients * self.n_widths
        self.network = ScalarNetwork(settings, n_invariants, scale=0.1)
        self.energy_scale = statistics.atomic_inter_scale

    def forward(self, node_feats: Tensor, multipoles: Tensor, features: Tensor) -> Tensor:
        """Energies [N] in eV.

        Args:
            node_feats: [N, layers x features] as the backbone returns them.
            multipoles: [N, (l_max+1)²].
            features: [N, F] normalised field features.
        """
        charge = multipoles[:, :1] / self.charge_scale
        invariants = [charge, charge.square(), charge * features[:, : self.n_widths]]
        if self.with_dipoles:
            dipole = multipoles[:, 1:] / self.dipole_scale
            invariants.append(dipole.square().sum(dim=1, keepdim=True))
        if self.with_gradients:
            gradients = features[:, self.n_widths :].unflatten(1, (self.n_widths, 3))
            invariants.append((gradients * dipole.unsqueeze(1)).sum(dim=-1))
        energies = self.network(node_feats) * torch.cat(invariants, dim=1)
        total: Tensor = self.energy_scale * energies.sum(dim=1)
        return total
