"""Terms on the total charge.

They have no mask: MACE_SCF stores a missing total charge as 0 and fits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities


@register(
    "total_charge",
    labels=("total_charge",),
    outputs=("density_coefficients",),
    unit="e^2",
)
def total_charge(q: Quantities) -> Squares:
    """Mean squared error of the total charge, the sum of the predicted atomic charges.

    ``mean_g( w_g (Q_g - sum_i q_i)^2 )``
    """
    predicted = q.net_charge()
    label = q.graph_label("total_charge", predicted)
    return Squares(predicted, label, q.weight(None, predicted))


@register(
    "total_charge_per_atom",
    labels=("total_charge",),
    outputs=("density_coefficients",),
    unit="(e/atom)^2",
)
def total_charge_per_atom(q: Quantities) -> Squares:
    """Mean squared error of the total charge per atom.

    ``mean_g( w_g ((Q_g - sum_i q_i) / n_g)^2 )``
    """
    predicted = q.net_charge()
    label = q.graph_label("total_charge", predicted)
    return Squares(predicted, label, q.per_atom_weight(None, predicted))
