"""The quantities that a validation measures, their tensors and their units. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUANTITIES", "Quantity"]


@dataclass(frozen=True)
class Quantity:
    """One labelled quantity of a configuration.

    Attributes:
        name: Its name in ``objective.metrics`` and in the columns of ``metrics.parquet``.
        title: Its name in tables and figures.
        pred: Key of the prediction in the model's output.
        ref: Key of the reference in the batch (``esps_dft`` is the model's own output for the
            reference multipoles).
        weight: Key of the batch's weight that is zero where the label is missing.
        unit: Unit in which errors are stored.
        display_unit: Unit in which errors are shown; one unit is ``display_factor`` of these.
        display_factor: See ``display_unit``.
        per_atom: Whether the error of a graph is divided by its number of atoms.
    """

    name: str
    title: str
    pred: str
    ref: str
    weight: str
    unit: str
    display_unit: str
    display_factor: float = 1000.0
    per_atom: bool = False


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "energy", "energy", "energy", "energy", "energy_weight",
            "eV/atom", "meV/atom", per_atom=True,
        ),
        Quantity("forces", "forces", "forces", "forces", "forces_weight", "eV/Å", "meV/Å"),
        Quantity("stress", "stress", "stress", "stress", "stress_weight", "eV/Å³", "meV/Å³"),
        Quantity(
            "atomic_multipoles", "multipoles", "density_coefficients", "density_coefficients",
            "density_coefficients_weight", "e·Å^l", "me·Å^l",
        ),
        Quantity(
            "total_charge", "total charge", "total_charge", "total_charge",
            "total_charge_weight", "e", "me",
        ),
        Quantity(
            "fermi_level", "Fermi level", "fermi_level", "fermi_level", "fermi_level_weight",
            "eV", "meV",
        ),
        Quantity("dipole", "dipole", "dipole", "dipole", "dipole_weight", "e·Å", "me·Å"),
        Quantity(
            "polarizability", "polarizability", "polarizability", "polarizability",
            "polarizability_weight", "label unit", "10⁻³ label unit",
        ),
        Quantity("esps", "ESP", "esps", "esps_dft", "electrostatic_potentials_weight", "V", "mV"),
        # the same potential against that given in the data, as `esps: {reference: label}` trains it
        Quantity("esps_label", "ESP label", "esps", "esps", "esps_weight", "V", "mV"),
    )
}  # fmt: skip
