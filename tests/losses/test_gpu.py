"""Loss terms on the GPU: values and gradients of the CPU, and no waiting for the device."""

from __future__ import annotations

import pytest
import torch
from devices import DEVICES, need, no_synchronisation

import losses
from losses.balance import gradient_norms
from losses.scalarization import DWA, FAMO, IMTLL, STCH, GeometricMean, Uncertainty
from losses.weighting import GradientShares, LossShares

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
ALL = {name: 1.0 for name in losses.names()}


def on(device, tensors, *, leaves=True):
    moved = {}
    for key, value in tensors.items():
        moved[key] = value.detach().to(device)
        if leaves and value.requires_grad:
            moved[key].requires_grad_()
    return moved


def gradients(pred):
    return {k: v.grad.cpu() for k, v in pred.items() if v.grad is not None}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", losses.names())
def test_value_and_gradient_are_those_of_the_cpu(name, dtype, device, make_batch):
    need(device)
    found = []
    for where in ("cpu", device):
        pred, ref = make_batch(dtype=dtype)
        pred, ref = on(where, pred), on(where, ref)
        value = losses.evaluate(name, pred=pred, ref=ref)
        value.backward()
        found.append((value.detach().cpu(), gradients(pred)))
    (expected, slopes), (value, own) = found
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(value, expected, **tolerance)
    assert own.keys() == slopes.keys()
    for key in own:
        torch.testing.assert_close(own[key], slopes[key], **tolerance)


@pytest.mark.parametrize("device", DEVICES)
def test_nothing_waits_for_the_device(device, make_batch):
    """Total, breakdown, gradient norms and moving weights."""
    need(device)
    pred, ref = make_batch(dtype=torch.float32)
    loss = losses.WeightedLoss(ALL, device=device)
    pred, ref = on(device, pred), on(device, ref)
    inputs = [value for value in pred.values() if value.requires_grad]
    weightings = [
        kind(names=loss.names, device=device, **options)
        for kind, options in (
            (GradientShares, {"interval": 2}), (LossShares, {}), (GeometricMean, {}), (STCH, {}),
            (DWA, {"interval": 2}), (Uncertainty, {}), (IMTLL, {}), (FAMO, {}),
        )
    ]  # fmt: skip

    def work() -> None:
        loss(pred=pred, ref=ref).backward()
        loss.breakdown(pred=pred, ref=ref).total.backward()
        gradient_norms(loss, inputs, pred, ref)
        for weighting in weightings:
            values = loss.raw_values(pred=pred, ref=ref)
            weighting.backward(values, inputs)
            weighting.look_again(values)

    work()  # what is built once may wait
    with no_synchronisation(device):
        work()
        work()
