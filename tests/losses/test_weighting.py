"""Weights that follow the training: laws of every weighting, and numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from losses import LossError
from losses.weighting import GradientShares, LossShares

NAMES = ("a", "b", "c")
FACTORS = {"a": 1.0, "b": 1e3, "c": 1e-4}
KINDS = [GradientShares, LossShares]


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_() for n in (3, 2)
    ]


def values(parameters, names=NAMES, factors=FACTORS, step=0):
    """Terms of different kinds: of both parameters, of one, squares and fourth powers."""
    x, y = parameters
    terms = {
        "a": (x - step).square().mean() + y.sum().square(),
        "b": (y - 0.3).pow(4).sum(),
        "c": (x * torch.arange(3)).square().sum() + 0.1 * step,
    }
    return {name: factors[name] * terms[name] for name in names}


def gradient(parameters):
    return torch.cat([p.grad for p in parameters])


def norm(value, parameters):
    each = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.cat([g for g in each if g is not None]).norm()


def test_weights_are_share_over_norm():
    own = parameters()
    weighting = GradientShares({"b": 2.0}, names=NAMES)
    weights = weighting.backward(values(own), own)
    norms = torch.stack([norm(value, own) for value in values(own).values()])
    torch.testing.assert_close(weights * norms, torch.tensor([0.25, 0.5, 0.25]).double())


def test_weights_are_share_over_value():
    own = parameters()
    weights = LossShares({"b": 2.0}, names=NAMES).backward(values(own), own)
    raw = torch.stack(list(values(own).values()))
    torch.testing.assert_close(weights * raw, torch.tensor([0.25, 0.5, 0.25]).double())


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_weighted_sum(kind):
    """In the steps that measure and in the others."""
    own, other = parameters(), parameters()
    weighting = kind(names=NAMES, **({"interval": 2} if kind is GradientShares else {}))
    for step in range(5):
        for p in (*own, *other):
            p.grad = None
        weights = weighting.backward(values(own, step=step), own)
        total = sum(w * v for w, v in zip(weights, values(other, step=step).values(), strict=True))
        total.backward()
        torch.testing.assert_close(gradient(own), gradient(other), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_unit_of_a_term_does_not_matter(kind):
    trained = []
    for factors in (FACTORS, {name: 1.0 for name in NAMES}):
        own = parameters()
        optimizer = torch.optim.SGD(own, lr=0.05)
        weighting = kind(names=NAMES)
        for step in range(6):
            optimizer.zero_grad()
            weighting.backward(values(own, factors=factors, step=step), own)
            optimizer.step()
        trained.append(torch.cat([p.detach() for p in own]))
    torch.testing.assert_close(*trained, rtol=1e-9, atol=0)


def test_sizes_are_smoothed_in_the_logarithm():
    weighting = LossShares(names=("a", "b"), smoothing=0.75)
    own = parameters()
    for a in (1.0, 16.0):
        x = own[0].sum()
        weights = weighting.backward({"a": 0 * x + a, "b": 0 * x + 1}, own)
    assert weights.tolist() == pytest.approx([0.5 / 2, 0.5])  # 16 to the power of 1 - 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_zero_switches_a_term_off(kind):
    own, other = parameters(), parameters()
    three = kind({"b": 0.0}, names=NAMES).backward(values(own), own)
    two = kind(names=("a", "c")).backward(values(other, ("a", "c")), other)
    assert three[1] == 0
    torch.testing.assert_close(three[[0, 2]], two)
    torch.testing.assert_close(gradient(own), gradient(other))


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_that_is_off_is_not_differentiated(kind):
    """What it costs, and a gradient that is not finite, do not matter."""
    own, other = parameters(), parameters()
    weighting, two = kind({"b": 0.0}, names=NAMES), kind(names=("a", "c"))
    for step in range(3):
        given = values(own, step=step) | {"b": (own[0] * 0).sum().sqrt()}
        weights = weighting.backward(given, own)
        expected = two.backward(values(other, ("a", "c"), step=step), other)
        assert weights.tolist() == [expected[0], 0.0, expected[1]]
    assert torch.equal(gradient(own), gradient(other))


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_that_wakes_from_round_off_does_not_take_over(kind):
    """From 1e-16 to 1 with a smoothing of 0.9: else its weight would be 1e14 too large."""
    options = {"interval": 1} if kind is GradientShares else {}
    weighting = kind(names=("a", "b"), smoothing=0.9, **options)
    own = parameters()
    for factor in (1e-16, 1.0, 1.0):
        weights = weighting.backward(
            {"a": own[0].square().sum(), "b": factor * own[1].square().sum()}, own
        )
    b = own[1].square().sum()
    size = norm(b, own) if kind is GradientShares else b.detach()
    assert 0.5 < float(weights[1] * size) <= 0.5 * 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_without_size_waits_until_it_has_one(kind):
    weighting = kind(names=("a", "b"), **({"interval": 1} if kind is GradientShares else {}))
    own = parameters()
    nothing = own[1].sum() * 0
    weights = weighting.backward({"a": own[0].square().sum(), "b": nothing}, own)
    assert weights[1] == 0
    assert weights[0] > 0
    weights = weighting.backward({"a": own[0].square().sum(), "b": torch.tensor(0.0)}, own)
    assert weights[1] == 0
    weights = weighting.backward({"a": own[0].square().sum(), "b": own[1].square().sum()}, own)
    value = own[1].square().sum()
    size = norm(value, own) if kind is GradientShares else value.detach()
    assert float(weights[1] * size) == pytest.approx(0.5)


def test_a_vanishing_term_meets_the_ceiling():
    weighting = LossShares(names=("a", "b"), smoothing=0.0, ceiling=10.0)
    own = parameters()
    for b in (1.0, 1e-12):
        x = own[0].sum() * 0
        weights = weighting.backward({"a": x + 1, "b": x + b}, own)
    growth = 2 * weights.tolist()[1]
    assert growth == pytest.approx(10 * math.sqrt(1e12))  # ten times the geometric mean of 1, 1e12
    assert torch.isfinite(weights).all()


def test_terms_that_change_are_measured_at_once():
    weighting = GradientShares(names=NAMES, interval=100)
    own = parameters()
    before = weighting.backward(values(own, ("a", "b")), own)
    after = weighting.backward(values(own, NAMES, step=3), own)
    assert len(before) == 2
    norms = torch.stack([norm(v, own) for v in values(own, step=3).values()])
    assert float(after[2] * norms[2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_saved_state_goes_on_bit_by_bit(kind, stop):
    options = {"interval": 2} if kind is GradientShares else {}

    def train(weighting, own, steps):
        found = []
        for step in steps:
            found.append(weighting.backward(values(own, step=step), own).tolist())
        return found

    whole, own = kind(names=NAMES, **options), parameters()
    expected = train(whole, own, range(6))
    first, again = kind(names=NAMES, **options), kind(names=NAMES, **options)
    other = parameters()
    begin = train(first, other, range(stop))
    again.load_state_dict(first.state_dict())
    assert begin + train(again, other, range(stop, 6)) == expected
    assert torch.equal(gradient(own), gradient(other))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_from_the_device(kind):
    """Tensors of the meta device have no values: whatever reads one on the host fails."""
    own = [p.detach().to("meta").requires_grad_() for p in parameters()]
    weighting = kind(names=NAMES, device="meta")
    for step in range(3):
        x, y = own
        given = {"a": x.square().sum() + step, "b": y.sum(), "c": x.sum() * y.sum()}
        assert weighting.backward(given, own).device.type == "meta"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shares": {"d": 1.0}}, "there is no term 'd'.*valid: a, b, c"),
        ({"shares": {"a": -1.0}}, "share of term 'a' must be finite and at least 0, got -1.0"),
        ({"shares": {"a": math.nan}}, "share of term 'a'"),
        ({"shares": dict.fromkeys(NAMES, 0.0)}, "all shares are 0"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and below 1, got 1.0"),
        ({"ceiling": 1.0}, "ceiling must be above 1, got 1.0"),
        ({"interval": 0}, "interval must be at least 1, got 0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(LossError, match=message):
        GradientShares(**{"names": NAMES, **arguments})


def test_a_term_of_another_loss_is_named():
    own = parameters()
    with pytest.raises(LossError, match=r"unknown term 'c'.*valid: a, b"):
        GradientShares(names=("a", "b")).backward(values(own), own)
