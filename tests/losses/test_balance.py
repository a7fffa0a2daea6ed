"""Shares, gradient norms and cosines, balanced weights."""

import math

import pytest
import torch

import losses
from losses import balance

TERMS = {"energy_per_atom": 2.0, "forces": 100.0, "dipole": 0.5, "esps": 10.0, "stress": 0.0}


class Model(torch.nn.Module):
    """Every output is linear in the parameters; the potential has none of its own."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([0.7, -0.3], dtype=torch.float64))
        self.shift = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, inputs):
        return {
            "energy": inputs["energy"] * self.scale[0] + self.shift,
            "forces": inputs["forces"] * self.scale[1],
            "dipole": inputs["dipole"] * self.scale[0] - self.shift,
            "esps": inputs["esps"],
            "esps_dft": inputs["esps_dft"],
        }


@pytest.fixture
def trained(make_batch):
    """Return a loss, a model, its output for a batch, and the batch."""
    inputs, ref = make_batch()
    model = Model()
    pred = model({key: value.detach() for key, value in inputs.items()})
    return losses.WeightedLoss(TERMS), model, pred, ref


def breakdown_of(**weighted):
    values = torch.tensor(list(weighted.values()), dtype=torch.float64)
    names = tuple(weighted)
    return losses.Breakdown(names, names, values, values, values.sum())


def test_shares_are_those_of_the_active_terms(trained):
    loss, _, pred, ref = trained
    breakdown = loss.breakdown(pred=pred, ref=ref)
    shares = balance.shares(breakdown)
    assert tuple(shares) == loss.active
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["forces"] == pytest.approx((breakdown.weighted[1] / breakdown.total).item())


@pytest.mark.parametrize(
    ("weighted", "dominant", "effective", "starved"),
    [
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, "a", 4.0, ()),
        ({"a": 0.0, "b": 5.0}, "b", 1.0, ("a",)),
        ({"a": 3.0}, "a", 1.0, ()),
        (
            {"a": 0.5, "b": 99.5},
            "b",
            math.exp(-math.log(0.005) * 0.005 - math.log(0.995) * 0.995),
            ("a",),
        ),
        ({"a": 1.0, "b": 99.0}, "b", math.exp(-math.log(0.01) * 0.01 - math.log(0.99) * 0.99), ()),
        ({"a": 0.0, "b": 0.0}, "a", 0.0, ("a", "b")),
    ],
)
def test_summary(weighted, dominant, effective, starved):
    summary = balance.summarize(breakdown_of(**weighted))
    assert summary.dominant == dominant
    assert summary.effective == pytest.approx(effective)
    assert summary.starved == starved


def test_summary_averages_shares_and_not_values():
    early, late = breakdown_of(a=900.0, b=100.0), breakdown_of(a=0.1, b=0.9)
    summary = balance.summarize([early, late])
    assert summary.share == pytest.approx({"a": 0.5, "b": 0.5})
    silent = breakdown_of(a=0.0, b=0.0)
    assert balance.summarize([early, silent]).share == pytest.approx({"a": 0.9, "b": 0.1})


@pytest.mark.parametrize(
    ("breakdowns", "message"),
    [
        ([], "at least one breakdown"),
        ([breakdown_of(a=1.0), breakdown_of(b=1.0)], "different terms.*: a and b"),
        ([breakdown_of(a=1.0, b=math.nan)], "term 'b' is nan"),
        ([breakdown_of(a=1.0, b=math.inf)], "term 'b' is inf"),
    ],
)
def test_summary_errors(breakdowns, message):
    with pytest.raises(losses.LossError, match=message):
        balance.summarize(breakdowns)


def test_gradient_norms_are_those_of_each_term(trained):
    loss, model, pred, ref = trained
    found = balance.gradient_norms(loss, model, pred, ref)
    assert found.names == loss.names
    vectors = []
    for name in ("energy_per_atom", "forces", "dipole"):
        value = losses.evaluate(name, pred=pred, ref=ref)
        grads = torch.autograd.grad(
            value, list(model.parameters()), retain_graph=True, materialize_grads=True
        )
        vectors.append(torch.cat([grad.reshape(-1) for grad in grads]))
    expected = torch.stack(vectors)
    torch.testing.assert_close(found.raw[:3], expected.norm(dim=1), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.weighted, found.raw * loss.weights, rtol=1e-15, atol=0)
    units = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found.cosine[:3, :3], units @ units.T, rtol=1e-12, atol=1e-15)


def test_terms_without_a_gradient_have_norm_and_cosine_zero(trained):
    loss, model, pred, ref = trained
    found = balance.gradient_norms(loss, model, pred, ref)
    assert found.raw[3:].tolist() == [0.0, 0.0]  # esps has no parameters, stress is switched off
    assert (found.cosine[3:] == 0).all()
    assert (found.cosine[:, 3:] == 0).all()
    torch.testing.assert_close(found.cosine, found.cosine.T, rtol=0, atol=0)
    torch.testing.assert_close(
        found.cosine.diagonal(), torch.tensor([1.0, 1, 1, 0, 0], dtype=torch.float64)
    )


def test_measuring_leaves_graph_and_gradients_alone(trained):
    loss, model, pred, ref = trained
    balance.gradient_norms(loss, model, pred, ref)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss(pred=pred, ref=ref).backward()
    assert model.scale.grad.isfinite().all()


def test_a_broken_term_does_not_spoil_the_others(trained):
    loss, model, pred, ref = trained
    healthy = balance.gradient_norms(loss, model, pred, ref)
    pred = {**pred, "dipole": pred["dipole"] * math.inf}
    broken = balance.gradient_norms(loss, model, pred, ref)
    assert torch.equal(broken.raw[:2], healthy.raw[:2])
    assert not broken.raw[2].isfinite()


def test_some_parameters_only(trained):
    loss, model, pred, ref = trained
    found = balance.gradient_norms(loss, [model.shift], pred, ref)
    assert found.raw[1] == 0
    assert found.raw[0] > 0
    model.requires_grad_(False)
    with pytest.raises(losses.LossError, match="at least one parameter"):
        balance.gradient_norms(loss, model, pred, ref)


def test_balanced_weights_make_the_gradients_equally_long(trained):
    loss, model, pred, ref = trained
    raw = balance.gradient_norms(loss, model, pred, ref).raw
    loss.set_weights(balance.balanced_weights(TERMS, raw, "energy_per_atom"))
    assert loss.weights[0] == TERMS["energy_per_atom"]
    assert loss.weights[3:].tolist() == [10.0, 0.0]  # no gradient, or switched off
    weighted = balance.gradient_norms(loss, model, pred, ref).weighted
    torch.testing.assert_close(weighted[:3], weighted[[0, 0, 0]], rtol=1e-12, atol=0)


def test_prior_interpolates_between_balance_and_the_given_weights():
    weights = {"a": 2.0, "b": 50.0, "c": 0.3}
    norms = torch.tensor([4.0, 0.5, 8.0])
    pure = balance.balanced_weights(weights, norms, "a")
    assert pure == pytest.approx({"a": 2.0, "b": 16.0, "c": 1.0})
    assert balance.balanced_weights(weights, norms, "a", prior=1.0) == pytest.approx(weights)
    half = balance.balanced_weights(weights, norms, "a", prior=0.5)
    assert half == pytest.approx({n: math.sqrt(weights[n] * pure[n]) for n in weights})


def test_several_points_are_averaged_where_both_terms_have_a_gradient():
    weights = {"a": 1.0, "b": 7.0, "c": 5.0}
    norms = torch.tensor([[1.0, 0.25, 0.0], [100.0, 100.0, 0.0], [3.0, 0.0, 0.0], [0.0, 9.0, 1.0]])
    found = balance.balanced_weights(weights, norms, "a")
    assert found == pytest.approx({"a": 1.0, "b": 2.0, "c": 5.0})


def test_vanishing_gradients_do_not_blow_weights_up():
    found = balance.balanced_weights(
        {"a": 1.0, "b": 3.0, "c": 1.0},
        torch.tensor([1.0, 5e-324, 1e-6], dtype=torch.float64),
        "a",
    )
    assert found == pytest.approx({"a": 1.0, "b": 3.0, "c": 1e6})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "forcse"}, "'forcse' is not a term; did you mean 'forces'"),
        ({"reference": "dipole"}, "weight of the reference term 'dipole' must be larger than 0"),
        ({"reference": "esps"}, "reference term 'esps' has no gradient"),
        ({"prior": 1.5}, "prior must lie between 0 and 1, got 1.5"),
        ({"prior": math.nan}, "prior must lie between 0 and 1"),
        ({"norms": torch.ones(3)}, r"norms have shape \[3\], expected \[4\]"),
        ({"norms": torch.ones(2, 2, 4)}, r"norms have shape \[2, 2, 4\]"),
        ({"norms": torch.tensor([1, math.nan, 1, 1])}, "norm of term 'forces' is nan"),
        ({"norms": torch.tensor([1, 1, -1, 1.0])}, "norm of term 'dipole' is -1"),
    ],
)
def test_balanced_weights_errors(change, message):
    arguments = {
        "weights": {"energy_per_atom": 1.0, "forces": 1.0, "dipole": 0.0, "esps": 1.0},
        "norms": torch.tensor([1.0, 2.0, 3.0, 0.0]),
        "reference": "energy_per_atom",
        "prior": 0.0,
    }
    with pytest.raises(losses.LossError, match=message):
        balance.balanced_weights(**{**arguments, **change})
