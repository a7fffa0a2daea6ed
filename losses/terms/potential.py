"""Terms on the electrostatic potential and on features of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from losses.base import Needs, register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities

FAMILIES: Final = frozenset({"local_charges", "fixed_point"})
MASK: Final = "electrostatic_potentials_weight"
LABEL_MASK: Final = "esps_weight"


@register(
    "esps",
    labels=("density_coefficients",),
    outputs=("esps", "esps_dft"),
    mask=MASK,
    families=FAMILIES,
    unit="V^2",
    variants={
        "reference": {"label": Needs(labels=("esps",), outputs=("esps",), mask=LABEL_MASK)},
    },
)
def esps(q: Quantities, *, reference: str = "multipoles") -> Squares:
    """Mean squared error of the electrostatic potential at the atoms.

    ``mean_i( w_g w^V_g (V^ref_i - V_i)^2 )``. With ``reference: multipoles``, V^ref
    (``pred["esps_dft"]``) is the potential of the reference multipoles, computed by the same
    electrostatics. With ``reference: label`` it is the potential given in the data
    (``ref["esps"]``), which MACE_SCF does not have.
    """
    predicted = q.atom_output("esps")
    if reference == "label":
        label = q.atom_label("esps", predicted)
        return Squares(predicted, label, q.atom_weight(LABEL_MASK, predicted))
    target = q.atom_target("esps_dft", predicted)
    return Squares(predicted, target, q.atom_weight(MASK, predicted))


@register(
    "field_features",
    labels=("density_coefficients",),
    outputs=("feats_no_mu_model", "feats_no_mu_dft"),
    mask=MASK,
    families=FAMILIES,
    unit="dimensionless",
)
def field_features(q: Quantities) -> Squares:
    """Mean squared error of the field features at the atoms.

    ``mean_i( w_g w^V_g mean_F (f_i - f^ref_i)^2 )``; f^ref (``pred["feats_no_mu_dft"]``) comes
    from the reference multipoles.
    """
    predicted = q.atom_output("feats_no_mu_model")
    reference = q.atom_target("feats_no_mu_dft", predicted)
    return Squares(predicted, reference, q.atom_weight(MASK, predicted))
