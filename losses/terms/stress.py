"""Terms on the stress of periodic configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from losses.base import register
from losses.robust import huber
from losses.squares import Squares

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities

FAMILIES: Final = frozenset({"mace", "local_charges"})


@register(
    "stress",
    labels=("stress",),
    outputs=("stress",),
    mask="stress_weight",
    families=FAMILIES,
    unit="(eV/Å^3)^2",
)
def stress(q: Quantities) -> Squares:
    """Mean squared error of the nine stress components.

    ``mean_gab( w_g w^S_g (σ_gab - σ̂_gab)^2 )``
    """
    predicted = q.graph_output("stress")
    weight = q.weight("stress_weight", predicted)
    return Squares(predicted, q.graph_label("stress", predicted), weight)


@register(
    "stress_huber",
    labels=("stress",),
    outputs=("stress",),
    mask="stress_weight",
    families=FAMILIES,
    unit="(eV/Å^3)^2",
    positive=("huber_delta",),
)
def stress_huber(q: Quantities, *, huber_delta: float = 0.01) -> Tensor:
    """Huber loss of the weighted stress components ``w_g w^S_g σ``; ``huber_delta`` in eV/Å^3."""
    predicted = q.graph_output("stress")
    error = predicted - q.graph_label("stress", predicted)
    return huber(error * q.weight("stress_weight", predicted), huber_delta)
