"""The one table of quantities agrees with itself, with the terms and with what is measured."""

import pytest

import losses
from sweep.quantities import LABELS, QUANTITIES, WEIGHTS

FITTED = {
    "energy": ("energy_per_atom", "energy_per_atom_huber"),
    "forces": ("forces", "forces_huber", "molecular_forces"),
    "stress": ("stress", "stress_huber"),
    "atomic_multipoles": ("atomic_multipoles", "atomic_multipoles_huber"),
    "total_charge": ("total_charge", "total_charge_per_atom"),
    "fermi_level": ("fermi_level", "fermi_level_per_atom"),
    "dipole": ("dipole", "dipole_per_atom"),
    "polarizability": ("polarizability",),
    "esps": ("esps",),
    "esps_label": (),  # by an option of esps
}


def test_the_terms_that_fit_each_quantity():
    assert {name: quantity.terms for name, quantity in QUANTITIES.items()} == FITTED
    label = losses.get("esps").variant({"reference": "label"})
    assert QUANTITIES["esps_label"].is_fitted_by(label)
    assert not QUANTITIES["esps"].is_fitted_by(label)


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=list(QUANTITIES))
def test_a_quantity_has_its_weight_and_its_label(quantity):
    assert quantity.weight in WEIGHTS
    assert all(label in LABELS for label in WEIGHTS[quantity.weight].labels)
    assert quantity.ref in LABELS or quantity.ref == "esps_dft"


@pytest.mark.parametrize("term", losses.names())
def test_what_a_term_needs_is_in_the_tables(term):
    assert set(losses.get(term).labels) <= LABELS.keys()
    assert losses.get(term).mask in (*WEIGHTS, None)
