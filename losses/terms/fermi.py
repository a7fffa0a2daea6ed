"""Terms on the Fermi level.

They have no mask: MACE_SCF stores a missing Fermi level as 0 and fits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from losses.base import register
from losses.squares import Squares

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities

FAMILIES: Final = frozenset({"fixed_point"})


@register(
    "fermi_level",
    labels=("fermi_level",),
    outputs=("fermi_level",),
    families=FAMILIES,
    unit="eV^2",
)
def fermi_level(q: Quantities) -> Squares:
    """Mean squared error of the Fermi level.

    ``mean_g( w_g (μ_g - μ̂_g)^2 )``
    """
    predicted = q.graph_output("fermi_level")
    label = q.graph_label("fermi_level", predicted)
    return Squares(predicted, label, q.weight(None, predicted))


@register(
    "fermi_level_per_atom",
    labels=("fermi_level",),
    outputs=("fermi_level",),
    families=FAMILIES,
    unit="(eV/atom)^2",
)
def fermi_level_per_atom(q: Quantities) -> Squares:
    """Mean squared error of the Fermi level, divided by the number of atoms.

    ``mean_g( w_g ((μ_g - μ̂_g) / n_g)^2 )``
    """
    predicted = q.graph_output("fermi_level")
    label = q.graph_label("fermi_level", predicted)
    return Squares(predicted, label, q.per_atom_weight(None, predicted))


@register(
    "fermi_level_gradient",
    outputs=("dq_dmu",),
    families=FAMILIES,
    unit="e/eV",
)
def fermi_level_gradient(q: Quantities) -> Tensor:
    """Mean of the positive part of dQ/dμ, the change of the total charge with the Fermi level.

    ``mean( relu(dQ/dμ) )``: electrons fill up when the level rises, so a positive slope is wrong.
    """
    return q.output("dq_dmu").relu().mean()
