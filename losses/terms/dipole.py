"""Terms on the dipole of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities


@register(
    "dipole",
    labels=("dipole",),
    outputs=("dipole",),
    mask="dipole_weight",
    unit="(e·Å)^2",
)
def dipole(q: Quantities) -> Squares:
    """Mean squared error of the dipole components.

    ``mean_ga( w_g w^μ_ga (μ_ga - μ̂_ga)^2 )``; ``dipole_weight`` weighs each component, so that a
    slab can be fitted along its surface normal only.
    """
    predicted = q.graph_output("dipole")
    weight = q.weight("dipole_weight", predicted)
    return Squares(predicted, q.graph_label("dipole", predicted), weight)


@register(
    "dipole_per_atom",
    labels=("dipole",),
    outputs=("dipole",),
    mask="dipole_weight",
    unit="(e·Å/atom)^2",
)
def dipole_per_atom(q: Quantities) -> Squares:
    """Mean squared error of the dipole components per atom.

    ``mean_ga( w_g w^μ_ga ((μ_ga - μ̂_ga) / n_g)^2 )``
    """
    predicted = q.graph_output("dipole")
    weight = q.per_atom_weight("dipole_weight", predicted)
    return Squares(predicted, q.graph_label("dipole", predicted), weight)
