"""Diagnostics of the self-consistent field as terms; they need no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from losses.base import LossError, register

if TYPE_CHECKING:
    from torch import Tensor

    from losses.batch import Quantities

FAMILIES: Final = frozenset({"fixed_point"})


@register(
    "final_terms_fixedpoint_scf_stability",
    outputs=("charges_history",),
    families=FAMILIES,
    unit="e",
)
def final_terms_fixedpoint_scf_stability(q: Quantities) -> Tensor:
    """Mean absolute change of the charges in the last SCF step.

    ``mean( |h[..., -1] - h[..., -2]| )`` with ``h = pred["charges_history"]``.
    """
    history = q.output("charges_history")
    if history.dim() == 0 or history.shape[-1] < 2:
        raise LossError(
            f"term {q.term!r}: 'charges_history' has shape {list(history.shape)}; "
            f"its last dimension must hold at least 2 SCF steps"
        )
    return (history[..., -1] - history[..., -2]).abs().mean()


@register(
    "fixedpoint_scf_stability",
    outputs=("perturbing_vector", "perturbed_density"),
    families=FAMILIES,
    unit="dimensionless",
    positive=("beta",),
)
def fixedpoint_scf_stability(
    q: Quantities, *, smooth: bool = True, beta: float = 10.0, offset: float = 1.0
) -> Tensor:
    """Penalty on SCF steps that enlarge a perturbation of the density.

    Per graph and coefficient ``softplus_β( sum_i out_i^2 / sum_i in_i^2 - offset )``, or ``relu``
    if not ``smooth``, then the mean; ``in = pred["perturbing_vector"]`` and
    ``out = pred["perturbed_density"]``, both ``[N, M]``.
    """
    before = q.atom_output("perturbing_vector")
    after = q.atom_target("perturbed_density", before)
    growth = q.sum_atoms(after.square()) / q.sum_atoms(before.square()) - offset
    if not smooth:
        return growth.relu().mean()
    from torch.nn import functional

    # Past the threshold torch's softplus is the identity; at 40 that is exact in float64, at its
    # default of 20 it is off by 2e-9.
    return functional.softplus(growth, beta=beta, threshold=40.0).mean()
