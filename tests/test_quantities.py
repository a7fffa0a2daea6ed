"""What follows from the declaration of a quantity: labels, weights, terms, legal values."""

import re
import subprocess
import sys

import numpy as np
import pytest

import losses
from sweep.data.labels import LABELS, WEIGHTS
from sweep.data.read.label_values import label_value
from sweep.errors import InputError
from sweep.quantities import QUANTITIES, exponents_of, quantity_of


def test_no_torch_is_needed():
    code = (
        "import sys, losses, sweep.quantities as q, sweep.data.labels, sweep.records;"
        "assert losses.get('esps').unit == 'V^2' and losses.names();"
        "assert q.QUANTITIES['forces'].terms;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_term_on_a_label_reads_what_there_is():
    for name in losses.names():
        term = losses.get(name)
        assert set(term.labels) <= set(LABELS)
        assert term.mask is None or term.mask in WEIGHTS


def test_the_terms_of_a_quantity():
    assert QUANTITIES["forces"].terms == ("forces", "forces_huber")
    assert QUANTITIES["total_charge"].terms == ("total_charge", "total_charge_per_atom")
    assert QUANTITIES["esps"].terms == ("esps",)
    esps = losses.get("esps")
    assert quantity_of(esps.variant({"reference": "label"})) is QUANTITIES["esps_label"]
    for name in ("field_features", "cluster_virial", "molecular_forces", "fermi_level_gradient"):
        assert quantity_of(losses.get(name)) is None


def test_names_that_files_use():
    assert LABELS["density_coefficients"].name == "atomic_multipoles"
    assert LABELS["esps"].section == "arrays_keys"
    assert LABELS["energy"].unit == "eV"
    assert WEIGHTS["density_coefficients_weight"].names == (
        "atomic_multipoles",
        "density_coefficients",
    )
    assert WEIGHTS["electrostatic_potentials_weight"].labels == ("density_coefficients",)
    assert "esps_dft" not in LABELS


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fermi_level", 1e30, "'fermi_level' .* must be between -10000 and 10000 eV; got 1e.30"),
        ("forces", [[0, 0, 0], [0, 0, -9.9e37]], "'forces' .* eV/Å; got -9.9e.37"),
        ("total_spin", 0, "'total_spin' .* a whole number from 1"),
    ],
)
def test_values_that_no_quantity_has(key, value, message):
    with pytest.raises(InputError, match=message):
        label_value(LABELS[key], "REF", np.array(value), 2, "train.xyz: configuration 3")


def test_an_extreme_but_possible_value_is_taken():
    assert label_value(LABELS["energy"], "REF", -4.2e7, 2, "") == -4.2e7
    assert label_value(LABELS["total_spin"], "REF", 1, 2, "") == 1


@pytest.mark.parametrize(
    ("metrics", "powers"),
    [
        (["forces", "energy"], {"forces": 1, "energy": 1}),
        ([{"forces": 2}, "energy"], {"forces": 2, "energy": 1}),
        ({"forces": 0.5}, {"forces": 0.5}),
        ([], {}),
    ],
)
def test_exponents(metrics, powers):
    assert exponents_of(metrics) == powers


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"forces": 0}, "'forces' must be finite and above 0; got 0"),
        ({"forces": -1.0}, "above 0; got -1.0"),
        ({"forces": float("nan")}, "got nan"),
        ({"forces": float("inf")}, "got inf"),
        ({"forces": True}, "got True"),
        ({"forces": "two"}, "got two"),
        (["forces", {"forces": 2}], "'forces' stands there twice"),
        ([3], "must be a list of quantities"),
        ("forces", "must be a list of quantities"),
        (None, "must be a list of quantities"),
    ],
)
def test_exponents_that_are_none(metrics, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        exponents_of(metrics)
    assert str(error.value).startswith("objective.metrics: ")
