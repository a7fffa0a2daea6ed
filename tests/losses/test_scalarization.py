"""Published numbers of many losses as weightings: by hand, after a stop, without waiting."""

from __future__ import annotations

import math

import pytest
import torch

from losses import LossError
from losses.scalarization import DWA, FAMO, IMTLL, STCH, GeometricMean, Uncertainty

NAMES = ("a", "b", "c")
KINDS = {
    GeometricMean: {},
    STCH: {"mu": 0.1},
    DWA: {"interval": 2},
    Uncertainty: {"lr": 0.1},
    IMTLL: {"lr": 0.1},
    FAMO: {"lr": 0.1},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def make(kind, **changed):
    return kind(names=NAMES, **{**KINDS[kind], **changed})


def train(weighting, x, steps, factors=(1.0, 1e3, 1e-4)):
    """Plain descent on three terms; the weights that acted in each of the steps."""

    def values(step):
        terms = ((x - 0.1 * step).square().sum(), (x[0] + 2).pow(4), (x[1] - 3).square())
        return {n: f * t for n, f, t in zip(NAMES, factors, terms, strict=True)}

    found = []
    for step in steps:
        x.grad = None
        found.append(weighting.backward(values(step), [x]))
        with torch.no_grad():
            x -= 0.01 * x.grad
        if weighting.needs_second_look:
            weighting.look_again(values(step))
    return torch.stack(found)


def start():
    return torch.tensor([1.0, -0.5], dtype=torch.float64, requires_grad=True)


@kinds
def test_units_do_not_matter(kind):
    factors = (3.0, 1e-2, 50.0)
    one, other = start(), start()
    weights = train(make(kind), one, range(5), (1.0, 1.0, 1.0))
    scaled = train(make(kind), other, range(5), factors)
    torch.testing.assert_close(scaled * torch.tensor(factors), weights, rtol=1e-7, atol=0)
    torch.testing.assert_close(one, other)


@kinds
@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_saved_state_goes_on_bit_by_bit(kind, stop, tmp_path):
    own, other = start(), start()
    expected = train(make(kind), own, range(7))
    before, after = make(kind), make(kind)
    begin = train(before, other, range(stop))
    torch.save(dict(before.state_dict()), tmp_path / "state.pt")
    after.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(before, start(), range(3))  # what goes on with the saved one changes nothing
    end = train(after, other, range(stop, 7))
    assert torch.equal(torch.cat([begin, end]), expected)
    assert torch.equal(own, other)


@kinds
def test_nothing_is_read_from_the_device(kind):
    weighting = kind(names=NAMES, device="meta", **KINDS[kind])
    x = start().detach().to("meta").requires_grad_()
    for _ in range(3):
        given = {"a": x.square().sum(), "b": x.sum(), "c": x.pow(4).sum()}
        assert weighting.backward(given, [x]).device.type == "meta"
        if weighting.needs_second_look:
            weighting.look_again(given)


@kinds
def test_a_term_that_is_not_there_acts_not_and_joins(kind):
    weighting, x = make(kind), start()
    for absent in (x.sum() * 0, torch.tensor(0.0).double()):
        weights = weighting.backward({"a": x.square().sum(), "b": absent}, [x])
        assert weights[1] == 0
        assert weights[0] > 0
    weights = weighting.backward({"a": x.square().sum(), "b": x.pow(4).sum()}, [x])
    assert torch.isfinite(weights).all()
    assert (weights > 0).all()
    assert len(weighting.backward({"c": x.square().sum()}, [x])) == 1  # a stage of other terms


def numbers(*values):
    """Terms of these values, all in the graph of one parameter."""
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    return {n: x.sum() + v for n, v in zip(NAMES, values, strict=False)}, [x]


def test_geometric_mean():
    weights = make(GeometricMean).backward(*numbers(2.0, 8.0, 4.0))
    units = make(GeometricMean)
    units.backward(*numbers(1.0, 1.0, 1.0))
    weights = units.backward(*numbers(2.0, 8.0, 4.0))
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 24, 4 / 12])


def test_smooth_maximum():
    weighting = make(STCH, mu=0.1)
    weighting.backward(*numbers(1.0, 1.0, 1.0))
    weights = weighting.backward(*numbers(1.0, 2.0, 0.5))
    e = [math.exp(v / 3 / 0.1) for v in (1.0, 2.0, 0.5)]
    assert weights.tolist() == pytest.approx([v / sum(e) / 3 for v in e])


def test_dynamic_weight_average():
    weighting = make(DWA, interval=2, temperature=0.5)
    for a, b in ((1, 1), (3, 1), (1, 1), (1, 0.5)):  # means 2 1, then 1 0.75
        assert weighting.backward(*numbers(a, b)).tolist() == [1, 1]
    e = [math.exp(rate / 0.5) for rate in (1 / 2, 0.75)]
    assert weighting.backward(*numbers(1, 1)).tolist() == pytest.approx([2 * v / sum(e) for v in e])


@pytest.mark.parametrize(("kind", "factor"), [(Uncertainty, 0.5), (IMTLL, 1.0)])
def test_learned_weights_come_to_one_over_the_value(kind, factor):
    weighting = make(kind, lr=0.05)
    weighting.backward(*numbers(1.0, 1.0, 1.0))
    for _ in range(400):
        weights = weighting.backward(*numbers(2.0, 0.5, 1.0))
    expected = [factor / v for v in (2.0, 0.5, 1.0)]
    assert weights.tolist() == pytest.approx(expected, rel=1e-3)


def test_famo_turns_to_what_fell_least():
    weighting = make(FAMO)
    for _ in range(3):
        weights = weighting.backward(*numbers(1.0, 1.0, 1.0))
        weighting.look_again(numbers(0.5, 0.9, 1.0)[0])
    weights = weighting.backward(*numbers(1.0, 1.0, 1.0))
    assert weights[0] < weights[1] < weights[2]
    assert float(weights.sum()) == pytest.approx(1)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchjd", None)
    with pytest.raises(LossError, match=r"pip install 'mace-loss-sweep\[torchjd\]'"):
        make(Uncertainty)
    make(GeometricMean)


@pytest.mark.parametrize(
    ("kind", "option"), [(STCH, "mu"), (DWA, "temperature"), (DWA, "interval"), (FAMO, "lr")]
)
def test_options_are_above_zero(kind, option):
    with pytest.raises(LossError, match=f"{option} must be above 0, got 0"):
        make(kind, **{option: 0})
