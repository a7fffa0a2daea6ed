"""What a switch between stages does to the optimiser's steps, against Adam itself."""

import math

import pytest
import torch

from losses.balance import GradientBalance
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage
from sweep.training.switch import LONG_STEPS, Switch, lengthening, total_norm


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.1, 1.0), (1.0, 1.0), (2.0, 1.88), (3.0, 2.62), (1000.0, 6.57)]
)
def test_how_much_longer_steps_get(ratio, expected):
    assert lengthening(ratio, 0.9, 0.999) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("ratio", [1.5, 4.0, 50.0])
def test_it_is_what_adam_does(ratio, amsgrad):
    """Constant gradients for long, then so many times as large."""
    x = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = torch.optim.Adam([x], lr=0.01, betas=(0.9, 0.999), amsgrad=amsgrad)
    lengths = []
    for step in range(9000):
        before = x.item()
        x.grad = torch.tensor(1.0 if step < 8900 else ratio, dtype=torch.float64)
        optimizer.step()
        lengths.append(abs(x.item() - before))
    longest = max(lengths[8900:]) / lengths[8899]
    assert longest == pytest.approx(lengthening(ratio, 0.9, 0.999), rel=1e-3)


def balance(norms, cosine):
    names = tuple("abc"[: len(norms)])
    values = torch.tensor(norms)
    return GradientBalance(names, values, values, torch.tensor(cosine))


def test_the_norm_of_the_sum():
    gradients = torch.tensor([[3.0, 0.0, 1.0], [-1.0, 2.0, 0.5]])
    norms = gradients.norm(dim=1)
    units = gradients / norms[:, None]
    found = balance(norms.tolist(), (units @ units.T).tolist())
    assert total_norm(found) == pytest.approx(gradients.sum(0).norm().item(), rel=1e-6)
    assert total_norm(balance([2.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("old", "new", "clip", "lr", "gradient", "steps"),
    [
        (2.0, 6.0, None, 0.01, 3.0, 2.62),
        (2.0, 6.0, 1.0, 0.01, 3.0, 1.0),  # clipped before and after
        (2.0, 6.0, 4.0, 0.001, 3.0, 0.188),  # clipped to twice; a tenth of the learning rate
        (2.0, 0.02, None, 0.01, 0.01, 1.0),
        (0.0, 1.0, None, 0.01, math.nan, math.nan),
    ],
)
def test_clipping_and_learning_rate(old, new, clip, lr, gradient, steps):
    stage = Stage(index=1, name="late", start=7, end=9, lr=lr, loss={})
    found = Switch.between(
        balance([old], [[1.0]]), balance([new], [[1.0]]), stage=stage, lr=0.01,
        trainer=TrainerConfig(clip_grad=clip),
    )  # fmt: skip
    assert (found.stage, found.epoch) == ("late", 7)
    assert found.gradient == pytest.approx(gradient, nan_ok=True)
    assert found.steps == pytest.approx(steps, rel=2e-3, nan_ok=True)
    assert found.is_jump == (steps > LONG_STEPS)
    assert Switch.from_dict(found.as_dict()).as_dict() == pytest.approx(
        found.as_dict(), nan_ok=True
    )
