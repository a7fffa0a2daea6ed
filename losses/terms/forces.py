"""Terms on the forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import ALL_FAMILIES, register
from losses.robust import huber_each
from losses.squares import Squares

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities


@register(
    "forces",
    labels=("forces",),
    outputs=("forces",),
    mask="forces_weight",
    families=ALL_FAMILIES,
    unit="(eV/Å)^2",
)
def forces(q: Quantities) -> Squares:
    """Mean squared error of the force components.

    ``mean_ia( w_g w^F_g (F_ia - F̂_ia)^2 )`` over atoms and components.
    """
    predicted = q.atom_output("forces")
    weight = q.atom_weight("forces_weight", predicted)
    return Squares(predicted, q.atom_label("forces", predicted), weight)


@register(
    "forces_huber",
    labels=("forces",),
    outputs=("forces",),
    mask="forces_weight",
    families=ALL_FAMILIES,
    unit="(eV/Å)^2",
    positive=("huber_delta",),
)
def forces_huber(q: Quantities, *, huber_delta: float = 0.01) -> Tensor:
    """Huber loss of the weighted force components, with a smaller δ for atoms under large forces.

    The conditional Huber of MACE's ``universal`` loss (``conditional_huber_forces``) on weighted
    forces ``w_g w^F_g F``: δ is multiplied by 1, 0.7, 0.4 or 0.1 where the norm of the weighted
    reference force is below 100, 200, 300 or at least 300 eV/Å. ``huber_delta`` in eV/Å.
    """
    predicted = q.atom_output("forces")
    reference = q.atom_label("forces", predicted)
    weight = q.atom_weight("forces_weight", predicted)
    import torch

    norm = torch.linalg.vector_norm(weight * reference, dim=1, keepdim=True)
    delta = torch.full_like(norm, 0.1 * huber_delta)
    for limit, factor in ((300, 0.4), (200, 0.7), (100, 1.0)):
        delta = torch.where(norm < limit, factor * huber_delta, delta)
    return huber_each(weight * (predicted - reference), delta)
