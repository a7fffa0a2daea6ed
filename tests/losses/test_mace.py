"""The loss on a real MACE batch and model output, against MACE's own loss functions."""

import mace.modules.loss as mace_loss
import numpy as np
import pytest
import torch
from mace.data import AtomicData, Configuration
from mace.tools import AtomicNumberTable
from mace.tools.torch_geometric import Batch

import losses


@pytest.fixture
def pair(make_batch):
    """Return a MACE ``Batch`` with labels of our own, and predictions for it."""
    sizes = (3, 1, 4)
    pred, ref = make_batch(sizes)
    configurations = []
    for g, start in enumerate((0, 3, 4)):
        atoms = slice(start, start + sizes[g])
        masks = ("energy", "forces", "stress")
        configurations.append(
            Configuration(
                atomic_numbers=np.array([8, 1, 1, 1][: sizes[g]]),
                positions=ref["positions"][atoms].numpy(),
                weight=ref["weight"][g].item(),
                properties={
                    "energy": ref["energy"][g].item(),
                    "forces": ref["forces"][atoms].numpy(),
                    "stress": ref["stress"][g]
                    .triu()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
                    .numpy(),
                    "dipole": ref["dipole"][g].numpy(),
                    "total_charge": ref["total_charge"][g].item(),
                    "density_coefficients": ref["density_coefficients"][atoms].numpy(),
                },
                property_weights={
                    **{key: ref[f"{key}_weight"][g].item() for key in masks},
                    "dipole": ref["dipole_weight"][g].numpy(),
                },
            )
        )
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        table = AtomicNumberTable([1, 8])
        data = [AtomicData.from_config(c, z_table=table, cutoff=3.0) for c in configurations]
    finally:
        torch.set_default_dtype(default)
    # What MACE's model returns holds entries for what was not asked for.
    output = {**pred, "virials": None, "hessian": None, "node_energy": None}
    return output, Batch.from_data_list(data)


def test_a_batch_is_a_valid_ref(pair, make_batch):
    pred, batch = pair
    _, ref = make_batch()
    # MACE has no mask for the multipoles: it counts as 1.
    ref["density_coefficients_weight"] = torch.ones(3, dtype=torch.float64)
    names = ("energy_per_atom", "forces", "dipole", "dipole_per_atom", "total_charge")
    loss = losses.WeightedLoss(dict.fromkeys((*names, "atomic_multipoles"), 1))
    ours = loss.breakdown(pred=pred, ref=ref).raw
    assert torch.equal(loss.breakdown(pred=pred, ref=batch).raw, ours)
    torch.testing.assert_close(
        loss.breakdown(pred=pred, ref=batch.to_dict()).raw, ours, rtol=1e-15, atol=0
    )


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("energy_per_atom", mace_loss.weighted_mean_squared_error_energy),
        ("forces", mace_loss.mean_squared_error_forces),
        ("stress", mace_loss.weighted_mean_squared_stress),
    ],
)
def test_values_are_those_of_mace(name, theirs, pair):
    pred, batch = pair
    ours = losses.evaluate(name, pred=pred, ref=batch)
    torch.testing.assert_close(ours, theirs(batch, pred), rtol=1e-13, atol=0)


def test_usable_as_the_loss_of_mace(pair):
    pred, batch = pair
    loss = losses.WeightedLoss({"energy_per_atom": 1, "forces": 100})
    theirs = mace_loss.WeightedEnergyForcesLoss(energy_weight=1.0, forces_weight=100.0)
    total = loss(pred=pred, ref=batch)
    torch.testing.assert_close(total, theirs(pred=pred, ref=batch), rtol=1e-7, atol=0)
    total.backward()
    assert pred["forces"].grad.isfinite().all()


@pytest.mark.parametrize("scale", [1.0, 60.0, 100.0, 250.0])
@pytest.mark.parametrize("delta", [0.01, 5.0])
def test_conditional_huber_is_that_of_mace(scale, delta, make_batch):
    """The forces reach into all four ranges of the norm."""
    pred, ref = make_batch((40, 1, 9))
    ref["forces"] *= scale
    pred["forces"] = (ref["forces"] + pred["forces"].detach()).requires_grad_()
    weight = (ref["weight"] * ref["forces_weight"])[ref["batch"]].unsqueeze(1)
    theirs = mace_loss.conditional_huber_forces(
        weight * ref["forces"], weight * pred["forces"], huber_delta=delta
    )
    ours = losses.evaluate("forces_huber", pred=pred, ref=ref, huber_delta=delta)
    # MACE first scales both forces and then subtracts them, which costs it some digits.
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, pred["forces"])[0] for value in (ours, theirs)),
        rtol=1e-10,
        atol=1e-14,
    )
