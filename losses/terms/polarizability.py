"""The term on the polarizability tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities


@register(
    "polarizability",
    labels=("polarizability",),
    outputs=("polarizability",),
    mask="polarizability_weight",
    unit="(label unit/atom)^2",
)
def polarizability(q: Quantities) -> Squares:
    """Mean squared error of the nine polarizability components per atom.

    ``mean_gab( w_g w^α_g ((α_gab - α̂_gab) / n_g)^2 )``; the weight may be one number per
    configuration or one per component, as MACE stores it.
    """
    predicted = q.graph_output("polarizability")
    weight = q.per_atom_weight("polarizability_weight", predicted)
    return Squares(predicted, q.graph_label("polarizability", predicted), weight)
