"""The polarizability readout: symmetry, rotation, what it starts from, and that it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from sweep.errors import InputError
from sweep.models import LocalChargesConfig, build


@pytest.fixture(params=[1, 2], ids=["max_L=1", "max_L=2"])
def model(request, build_model):
    return build_model(polarizability=True, max_L=request.param)


def test_it_is_symmetric_and_turns_with_the_molecule(model, collate, clusters):
    turn = Rotation.random(random_state=2).as_matrix()
    turned = [atoms.copy() for atoms in clusters]
    for atoms in turned:
        atoms.positions = atoms.positions @ turn.T
    before, after = (
        model(collate(c), periodic=False)["polarizability"] for c in (clusters, turned)
    )
    assert before.shape == (2, 3, 3)
    torch.testing.assert_close(before, before.mT, rtol=0, atol=1e-12)
    rotation = torch.tensor(turn)
    torch.testing.assert_close(after, rotation @ before @ rotation.T, rtol=0, atol=1e-10)
    trace = torch.einsum("gii->g", before)[:, None, None] / 3
    assert (before - trace * torch.eye(3)).abs().max() > 1e-3  # it is not isotropic


def test_a_molecule_far_away_adds_its_own(model, collate, clusters):
    pair = clusters[0].copy()
    other = clusters[1].copy()
    other.positions += 50.0
    together = model(collate([pair + other]), periodic=False)["polarizability"][0]
    alone = model(collate(clusters), periodic=False)["polarizability"]
    torch.testing.assert_close(together, alone.sum(0), rtol=0, atol=1e-10)


def test_it_starts_from_the_elements_of_the_training_set(statistics, collate, clusters):
    given = dataclasses.replace(
        statistics, mean_polarizabilities=(0.1, 0.7), polarizability_scale=1e-9
    )
    settings = LocalChargesConfig(num_channels=2, radial_MLP=[4], polarizability=True)
    model = build(settings, given, seed=0, dtype=torch.float64)
    found = model(collate(clusters[:1]), periodic=False)["polarizability"][0]
    expected = (4 * 0.1 + 2 * 0.7) * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_it_changes_nothing_else(build_model, collate, clusters):
    expected = build_model()(collate(clusters), periodic=False)
    found = build_model(polarizability=True)(collate(clusters), periodic=False)
    assert set(found) == set(expected) | {"polarizability"}
    for name, value in expected.items():
        assert torch.equal(found[name], value)


def test_every_parameter_of_it_is_trained(model, collate, clusters):
    prediction = model(collate(clusters), periodic=False, training=True)["polarizability"]
    gradients = torch.autograd.grad(prediction.square().sum(), model.polarizability.parameters())
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_it_can_learn_an_anisotropic_tensor(build_model, collate, clusters):
    model = build_model(polarizability=True)
    batch = collate(clusters)
    target = np.random.default_rng(0).normal(size=(2, 3, 3))
    target = torch.tensor(target + target.transpose(0, 2, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    errors = []
    for _ in range(150):
        found = model(batch, periodic=False, compute_force=False, training=True)["polarizability"]
        error = (found - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.02 * errors[0]


def test_what_it_needs_is_said(model, build_model):
    assert model.reason_against("polarizability") is None
    reason = build_model().reason_against("polarizability")
    assert reason == "the model does not return polarizability; set model.polarizability=true"
    with pytest.raises(InputError, match=r"model\.polarizability: needs max_L of at least 1"):
        LocalChargesConfig(polarizability=True, max_L=0, atomic_multipoles_max_l=0).check()
