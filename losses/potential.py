"""Terms on the electrostatic potential and on features of the field."""

from typing import Final

from losses.base import register
from losses.shared import Quantities
from losses.squares import Squares

FAMILIES: Final = frozenset({"local_charges", "fixed_point"})
MASK: Final = "electrostatic_potentials_weight"


@register(
    "esps",
    labels=("density_coefficients",),
    outputs=("esps", "esps_dft"),
    mask=MASK,
    families=FAMILIES,
    unit="V^2",
)
def esps(q: Quantities) -> Squares:
    """Mean squared error of the electrostatic potential at the atoms.

    ``mean_i( w_g w^V_g (V^ref_i - V_i)^2 )``; V^ref (``pred["esps_dft"]``) is the potential of the
    reference multipoles, computed by the same electrostatics.
    """
    predicted = q.atom_output("esps")
    reference = q.atom_target("esps_dft", predicted)
    return Squares(predicted, reference, q.atom_weight(MASK, predicted))


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
