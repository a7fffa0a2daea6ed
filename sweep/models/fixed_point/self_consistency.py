"""The equation that a self-consistent density solves, and its iteration.

Nothing here waits for the device: the number of steps is fixed, and whether a configuration has
converged is decided where its numbers are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sweep.models.electrostatics.field_features import FieldFeatures
from sweep.models.fixed_point.readouts import Response
from sweep.models.fixed_point.settings import ScfOptions

__all__ = ["DensityEquation", "pseudo_random"]

CALM = 5e-3
"""Mean absolute change of the multipoles in a step that is no sign of divergence, e·Å^l."""

SOFTEST = 1e-6
"""Least response of a whole graph to the Fermi level that can be divided by, e/V."""


@dataclass(frozen=True)
class DensityEquation:
    r"""The density :math:`p = p_\mathrm{loc} - R\, (f[p] + f_\mathrm{applied} + \mu f_1)`.

    :math:`f_1` are the features of a potential of 1 V everywhere. At constant charge :math:`\mu`
    stands for the one number per graph at which the right side has that charge.

    Attributes:
        local: [N, C] density without a field.
        response: R, linear in the features.
        fields: features of a density, linear in it.
        applied: [N, F] features of the applied field.
        uniform: [F] features of a potential of 1 V everywhere.
        graph: [N] graph of each atom.
        n_graphs: number of graphs, G.
        total_charge: [G] what the charges of a graph sum to, e; None if the Fermi level is given.
    """

    local: Tensor
    response: Response
    fields: FieldFeatures
    applied: Tensor
    uniform: Tensor
    graph: Tensor
    n_graphs: int
    total_charge: Tensor | None

    def total(self, values: Tensor) -> Tensor:
        """Sums [G, ...] of values [N, ...] over the atoms of each graph."""
        zeros = values.new_zeros(self.n_graphs, *values.shape[1:])
        return zeros.index_add(0, self.graph, values)

    def effective(self, own: Tensor, level: Tensor) -> Tensor:
        """Features [N, F] of all that acts: of the density, `own`, the applied field, the level."""
        return own + self.applied + level[self.graph].unsqueeze(-1) * self.uniform

    def level(self, own: Tensor, level: Tensor) -> Tensor:
        """The Fermi level [G] at which an update has the total charge; `level` if that is free."""
        if self.total_charge is None:
            return level
        n_widths = self.response.charge.shape[1]
        fall = (self.response.charge * (own + self.applied)[:, :n_widths]).sum(dim=1)
        excess = self.total(self.local[:, 0] - fall) - self.total_charge
        return excess / self.softness

    @property
    def softness(self) -> Tensor:
        """Response [G] of the charge of each graph to its Fermi level, never zero, e/V."""
        softness = self.total(self.response.fukui)
        return torch.where(softness.abs() < SOFTEST, SOFTEST, softness)

    def update(self, density: Tensor, level: Tensor) -> Tensor:
        """The right side of the equation [N, C] for a density on the left."""
        own = self.fields.features(density)
        effective = self.effective(own, self.level(own, level))
        return self.local + self.response.density(effective, density.shape[1])

    def change(self, density: Tensor) -> Tensor:
        """What a small change of the density on the left changes on the right, [N, C]."""
        own = self.fields.features(density)
        if self.total_charge is not None:
            n_widths = self.response.charge.shape[1]
            fall = (self.response.charge * own[:, :n_widths]).sum(dim=1)
            level = -self.total(fall) / self.softness
            own = own + level[self.graph].unsqueeze(-1) * self.uniform
        return self.response.density(own, density.shape[1])

    def iterate(
        self, density: Tensor, level: Tensor, scf: ScfOptions
    ) -> tuple[list[Tensor], Tensor]:
        """Densities of all steps, the first one included, and the modifier of the weights.

        A graph that has converged stays as it is, so its result does not depend on the others of
        the batch. The modifier is 1 unless a graph runs away: then it is the first change over the
        last one, both mean absolute changes of the multipoles in a step.

        Args:
            density: [N, C] where to start; at constant charge it is given that charge first.
            level: [G] the Fermi level, for a total charge that is free.
            scf: steps, mixing and tolerance.
        """
        density = self._with_charge(density)
        size = self.total(torch.ones_like(density[:, 0])) * density.shape[1]
        history = [density]
        moving = torch.ones_like(size, dtype=torch.bool)
        first = last = torch.zeros_like(size)
        for step in range(scf.num_scf_steps):
            change = scf.mixing_parameter * (self.update(density, level) - density)
            density = torch.where(moving[self.graph].unsqueeze(-1), density + change, density)
            history.append(density)
            mean = self.total(change.detach().abs().sum(dim=1)) / size
            first = mean if step == 0 else first
            last = torch.where(moving, mean, last)
            moving = moving & (mean >= scf.scf_tolerance)
        modifier = first.clamp(min=max(CALM, scf.scf_tolerance)) / last
        return history, modifier.clamp(max=1.0)

    def _with_charge(self, density: Tensor) -> Tensor:
        """The density with the total charge, what is missing shared out as the Fermi level would.

        Mixing keeps a charge that both densities have, so all steps have it from the first one on.
        """
        if self.total_charge is None:
            return density
        missing = (self.total_charge - self.total(density[:, 0])) / self.softness
        charges = density[:, :1] + (missing[self.graph] * self.response.fukui).unsqueeze(-1)
        return torch.cat([charges, density[:, 1:]], dim=1)


def pseudo_random(density: Tensor) -> Tensor:
    """Numbers like random ones of variance 1, one per entry, made of the density's own digits.

    They change from step to step as random ones would, need no generator whose state a checkpoint
    would have to keep, and do not depend on what else is in the batch.
    """
    return math.sqrt(2.0) * torch.cos(1e4 * density.detach())
