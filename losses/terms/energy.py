"""Terms on the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import ALL_FAMILIES, register
from losses.robust import huber
from losses.squares import Squares

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities


@register(
    "energy_per_atom",
    labels=("energy",),
    outputs=("energy",),
    mask="energy_weight",
    families=ALL_FAMILIES,
    unit="(eV/atom)^2",
)
def energy_per_atom(q: Quantities) -> Squares:
    """Mean squared error of the energy per atom.

    ``mean_g( w_g w^E_g ((E_g - Ê_g) / n_g)^2 )``
    """
    predicted = q.graph_output("energy")
    weight = q.per_atom_weight("energy_weight", predicted)
    return Squares(predicted, q.graph_label("energy", predicted), weight)


@register(
    "energy_per_atom_huber",
    labels=("energy",),
    outputs=("energy",),
    mask="energy_weight",
    families=ALL_FAMILIES,
    unit="(eV/atom)^2",
    positive=("huber_delta",),
)
def energy_per_atom_huber(q: Quantities, *, huber_delta: float = 0.01) -> Tensor:
    """Huber loss of the weighted energy per atom.

    ``mean_g( huber_δ( w_g w^E_g E_g / n_g, w_g w^E_g Ê_g / n_g ) )``: the weights are inside. The
    difference is taken before it is scaled, which is the same but keeps the digits of large
    energies. ``huber_delta`` in eV/atom.
    """
    predicted = q.graph_output("energy")
    error = predicted - q.graph_label("energy", predicted)
    return huber(error * (q.weight("energy_weight", predicted) / q.atoms(predicted)), huber_delta)
