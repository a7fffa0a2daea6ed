"""Clipping against torch's, and relative to the running median."""

import copy
import math

import pytest
import torch

from sweep.training.clipping import WINDOW, Clipping


def parameters(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    found = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((3, 2), (4,), ())]
    for parameter in found[:2]:  # the last has no gradient
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    return found


@pytest.mark.parametrize("limit", [0.3, 10.0, None])
def test_a_fixed_limit_is_that_of_torch(limit):
    ours, theirs = parameters(0), parameters(0)
    norm, acted = Clipping(ours, limit=limit, relative=None)()
    expected = torch.nn.utils.clip_grad_norm_(theirs, math.inf if limit is None else limit)
    assert torch.equal(norm, expected)
    assert acted.item() == pytest.approx(math.inf if limit is None else limit)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert torch.equal(one.grad, other.grad)


def run(clipping, found, norms):
    """Lengths after clipping of gradients with these norms."""
    lengths = []
    for norm in norms:
        for parameter in found[:2]:
            parameter.grad = torch.full_like(parameter, norm / math.sqrt(10))
        clipping()
        lengths.append(torch.nn.utils.get_total_norm([p.grad for p in found[:2]]).item())
    return lengths


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_only_spikes_are_clipped_whatever_the_scale(scale):
    found = parameters(0)
    norms = [scale * norm for norm in [1.0] * 20 + [50.0] + [1.0] * 5 + [2.9, 3.1]]
    lengths = run(Clipping(found, limit=None, relative=3.0), found, norms)
    expected = [scale * norm for norm in [1.0] * 20 + [3.0] + [1.0] * 5 + [2.9, 3.0]]
    assert lengths == pytest.approx(expected, rel=2e-2)  # torch adds 1e-6 to every norm


def test_the_first_steps_and_the_fixed_limit():
    found = parameters(0)
    lengths = run(Clipping(found, limit=4.0, relative=3.0), found, [1.0] * 5 + [9.0, 1.0])
    assert lengths[5] == pytest.approx(4.0, rel=1e-3)  # no median yet, but a limit
    lengths = run(Clipping(found, limit=None, relative=3.0), found, [1.0] * 5 + [9.0])
    assert lengths[5] == pytest.approx(9.0, rel=1e-3)


def test_the_median_follows_the_last_steps_alone_and_is_saved():
    found = parameters(0)
    whole = Clipping(found, limit=None, relative=2.0)
    run(whole, found, [1.0] * WINDOW + [2.0] * WINDOW)
    again = Clipping(found, limit=None, relative=2.0)
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    for clipping in (whole, again):
        assert run(clipping, found, [9.0])[0] == pytest.approx(4.0, rel=1e-3)
    assert Clipping(found, limit=1.0, relative=None).state_dict() == {}
