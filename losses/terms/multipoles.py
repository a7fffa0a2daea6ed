"""Terms on the atomic multipoles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import register
from losses.robust import huber
from losses.squares import Squares

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities


@register(
    "atomic_multipoles",
    labels=("density_coefficients",),
    outputs=("density_coefficients",),
    mask="density_coefficients_weight",
    unit="mixed: e^2, (e·Å)^2",
)
def atomic_multipoles(q: Quantities) -> Squares:
    """Mean squared error of the atomic multipoles.

    ``mean_i,lm( w_g w^p_g (p_ilm - p̂_ilm)^2 )`` over atoms and coefficients, in the order
    [Q, d_y, d_z, d_x, ...]; labels beyond the model's l_max are cut off.
    """
    predicted = q.atom_output("density_coefficients")
    weight = q.atom_weight("density_coefficients_weight", predicted)
    return Squares(predicted, q.multipoles(predicted), weight)


@register(
    "atomic_multipoles_huber",
    labels=("density_coefficients",),
    outputs=("density_coefficients",),
    mask="density_coefficients_weight",
    unit="mixed: e^2, (e·Å)^2",
    positive=("huber_delta",),
)
def atomic_multipoles_huber(q: Quantities, *, huber_delta: float = 0.01) -> Tensor:
    """Huber loss of the weighted multipoles ``w_g w^p_g p``; ``huber_delta`` in e, e·Å, ..."""
    predicted = q.atom_output("density_coefficients")
    error = predicted - q.multipoles(predicted)
    return huber(error * q.atom_weight("density_coefficients_weight", predicted), huber_delta)
