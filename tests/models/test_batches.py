"""Batches: graphs of a batch do not mix, the caller's tensors stay, precisions and devices."""

from __future__ import annotations

import math

import ase
import numpy as np
import pytest
import torch

from sweep.models.electrostatics.coulomb import COULOMB_CONSTANT

PER_GRAPH = {"energy", "dipole"}


def test_a_batch_is_its_graphs_one_by_one(model, collate, clusters, water_cluster):
    configurations = [*clusters, ase.Atoms("O"), water_cluster(3, seed=9)]
    batch = collate(configurations)
    together = model(batch, periodic=False)
    for index, atoms in enumerate(configurations):
        alone = model(collate([atoms]), periodic=False)
        rows = batch["batch"] == index
        for name, value in alone.items():
            if name == "esps_dft":  # the reference multipoles are drawn per batch
                continue
            part = together[name][[index] if name in PER_GRAPH else rows]
            torch.testing.assert_close(part, value, rtol=1e-12, atol=1e-11)


def test_periodic_batch_is_its_graphs_one_by_one(model, collate, periodic_box):
    configurations = [periodic_box(), periodic_box(seed=6, lengths=(4.9, 7.0, 6.0))]
    batch = collate(configurations)
    together = model(batch, periodic=True, compute_stress=True)
    for index, atoms in enumerate(configurations):
        alone = model(collate([atoms]), periodic=True, compute_stress=True)
        for name in ("energy", "stress", "dipole"):
            torch.testing.assert_close(together[name][index], alone[name][0])
        rows = batch["batch"] == index
        for name in ("forces", "density_coefficients", "esps"):
            torch.testing.assert_close(together[name][rows], alone[name], rtol=0, atol=1e-10)


def test_large_cell_is_the_molecule(build_model, collate, water_cluster):
    """A neutral molecule in a box of length L differs by its dipole's images, -2πKμ²/3V.

    The next order, L⁻⁵, is below 5e-5 eV here. The forces differ by the field of the images,
    about K μ q 4π/3V, and by the change of the total charge times the cell's mean potential.
    """
    length = 22.0
    model = build_model()
    atoms = water_cluster(2, seed=1)
    molecule = collate([atoms])
    with torch.no_grad():
        charges = model(molecule, periodic=False)["density_coefficients"][:, 0]
        model.multipoles.reference_charges -= charges.mean()
    boxed = atoms.copy()
    boxed.set_cell(length * np.eye(3))
    boxed.pbc = True
    alone = model(molecule, periodic=False)
    in_cell = model(collate([boxed]), periodic=True)
    assert alone["density_coefficients"][:, 0].sum().abs() < 1e-12
    images = 2 * math.pi * COULOMB_CONSTANT / (3 * length**3) * alone["dipole"].square().sum()
    torch.testing.assert_close(in_cell["energy"] + images, alone["energy"], rtol=0, atol=5e-5)
    torch.testing.assert_close(in_cell["forces"], alone["forces"], rtol=0, atol=3e-3)
    for name in ("dipole", "density_coefficients"):
        torch.testing.assert_close(in_cell[name], alone[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_batch_of_the_caller_is_left_alone(model, periodic, collate, clusters, periodic_box):
    batch = collate([periodic_box()] if periodic else clusters)
    kept = {key: (value, value.clone()) for key, value in batch.items()}
    for training in (False, True):
        model(batch, periodic=periodic, compute_stress=periodic, training=training)
    model(batch, periodic=periodic, compute_force=False)
    model.evaluate(batch, periodic=periodic)
    assert batch.keys() == kept.keys()
    for key, value in batch.items():
        assert value is kept[key][0], key
        assert torch.equal(value, kept[key][1]), key
        assert not value.requires_grad, key
        assert value.grad is None, key


def test_outputs_keep_the_graph_in_training_only(model, collate, clusters):
    batch = collate(clusters)
    assert not any(v.requires_grad for v in model(batch, periodic=False).values())
    prediction = model(batch, periodic=False, training=True)
    assert {k for k, v in prediction.items() if v.requires_grad} == set(prediction) - {"esps_dft"}


def test_nothing_waits_for_the_device(build_model, collate, clusters):
    """Tensors of the meta device have no values: whatever reads one on the host fails."""
    model = build_model().to("meta")
    batch = {key: value.to("meta") for key, value in collate(clusters).items()}
    prediction = model(batch, periodic=False, training=True)
    loss = sum(value.square().mean() for value in prediction.values())
    torch.autograd.grad(loss, list(model.parameters()))


def test_single_precision(build_model, model, collate, clusters, periodic_box):
    single = build_model(dtype=torch.float32)
    with torch.no_grad():
        for a, b in zip(single.parameters(), model.parameters(), strict=True):
            a.copy_(b)
    expected = model(collate(clusters), periodic=False)
    prediction = single(collate(clusters, torch.float32), periodic=False)
    for name, value in prediction.items():
        assert value.dtype == torch.float32
        atol = 1e-3 if name == "energy" else 2e-5
        torch.testing.assert_close(value.double(), expected[name], rtol=0, atol=atol)
    cell = single(collate([periodic_box()], torch.float32), periodic=True, compute_stress=True)
    expected = model(collate([periodic_box()]), periodic=True, compute_stress=True)
    torch.testing.assert_close(cell["stress"].double(), expected["stress"], rtol=0, atol=1e-6)
