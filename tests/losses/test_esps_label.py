"""The potential against a label of its own, which MACE_SCF does not have."""

from __future__ import annotations

import pytest
import torch

import losses

OPTIONS = {"reference": "label"}


@pytest.fixture
def labelled(make_batch):
    pred, ref = make_batch()
    random = torch.Generator().manual_seed(5)
    ref["esps"] = torch.randn(8, generator=random, dtype=torch.float64)
    ref["esps_weight"] = torch.tensor([0.7, 0.0, 2.0], dtype=torch.float64)
    return pred, ref


def test_the_value_is_that_of_the_formula(labelled, gradients):
    pred, ref = labelled
    value = losses.evaluate("esps", pred=pred, ref=ref, **OPTIONS)
    weight = (ref["weight"] * ref["esps_weight"])[ref["batch"]]
    expected = (weight * (ref["esps"] - pred["esps"]).square()).mean()
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=0)
    slope = 2 * weight * (pred["esps"] - ref["esps"]).detach() / 8
    torch.testing.assert_close(gradients(value, pred)["esps"], slope, rtol=1e-13, atol=0)


def test_a_missing_label_does_not_count(labelled):
    pred, ref = labelled
    value = losses.evaluate("esps", pred=pred, ref=ref, **OPTIONS)
    ref["esps"][3] = 1e3  # the atom of the configuration without weight
    ref["density_coefficients"][:] = 1e3
    pred = {key: pred[key] for key in ("esps",)}
    assert losses.evaluate("esps", pred=pred, ref=ref, **OPTIONS) == value


def test_the_default_is_the_published_formula(labelled):
    pred, ref = labelled
    default = losses.evaluate("esps", pred=pred, ref=ref)
    assert losses.evaluate("esps", pred=pred, ref=ref, reference="multipoles") == default
    weight = (ref["weight"] * ref["electrostatic_potentials_weight"])[ref["batch"]]
    expected = (weight * (pred["esps_dft"] - pred["esps"]).square()).mean()
    torch.testing.assert_close(default, expected, rtol=1e-14, atol=0)


def test_the_term_says_what_it_needs():
    term = losses.get("esps")
    assert term.variant({}) is term
    assert term.variant({"weight": 2.0, "reference": "multipoles"}) is term
    variant = term.variant(OPTIONS)
    assert (variant.labels, variant.outputs, variant.mask) == (("esps",), ("esps",), "esps_weight")
    assert (variant.name, variant.families, variant.unit) == (term.name, term.families, term.unit)


def test_both_in_a_weighted_sum(labelled):
    pred, ref = labelled
    loss = losses.WeightedLoss({"esps": {"weight": 3, **OPTIONS}})
    expected = 3 * losses.evaluate("esps", pred=pred, ref=ref, **OPTIONS)
    torch.testing.assert_close(loss(pred=pred, ref=ref), expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lable", "option 'reference' of term 'esps' must not be 'lable'; did you mean 'label'"),
        (1, "option 'reference' of term 'esps' must be a text, got 1"),
    ],
)
def test_other_values_are_refused(value, message):
    with pytest.raises(losses.LossError, match=message):
        losses.WeightedLoss({"esps": {"weight": 1, "reference": value}})


def test_a_variant_of_an_unknown_option_is_refused():
    with pytest.raises(losses.LossError, match="text option 'referense': did you mean 'reference'"):

        @losses.register(
            "esps_of_a_test",
            outputs=("esps",),
            unit="V",
            variants={"referense": {}},
        )
        def term(q: losses.Quantities, *, reference: str = "a") -> losses.Squares:
            """Never registered."""
            raise AssertionError
