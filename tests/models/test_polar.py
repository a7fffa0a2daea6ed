"""PolarMACE of mace-torch 0.3 with graph-longrange 0.4.4: derivatives, symmetries, batches."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from scipy.spatial.transform import Rotation

import losses
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.models import build, check_settings
from sweep.models.polar import Polar
from sweep.models.polar_settings import PolarConfig

SMALL = {
    "num_channels": 8,
    "r_max": 4.0,
    "max_ell": 2,
    "radial_MLP": [8],
    "MLP_irreps": "8x0e",
    "num_recursion_steps": 2,
}
CHARGES = torch.tensor([0.0, 1.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def polar(statistics) -> Polar:
    return build(PolarConfig(**SMALL), statistics, seed=0, dtype=torch.float64)


@pytest.fixture(scope="module")
def molecules(collate, clusters):
    return {**collate(clusters), "total_charge": CHARGES}


@pytest.fixture(scope="module")
def cells(collate, periodic_box):
    boxes = [periodic_box(), periodic_box(seed=6, lengths=(4.9, 7.0, 6.0))]
    return {**collate(boxes), "total_charge": torch.zeros(2, dtype=torch.float64)}


@pytest.mark.parametrize("kind", ["molecules", "cells"])
def test_forces_by_finite_differences(polar, kind, request):
    batch, periodic, h = request.getfixturevalue(kind), kind == "cells", 1e-4
    forces = polar(batch, periodic=periodic)["forces"]
    for atom, axis in ((0, 0), (4, 1), (8, 2)):
        energies = []
        for sign in (1, -1):
            positions = batch["positions"].clone()
            positions[atom, axis] += sign * h
            moved = {**batch, "positions": positions}
            energies.append(polar(moved, periodic=periodic, compute_force=False)["energy"].sum())
        slope = (energies[0] - energies[1]) / (2 * h)
        assert forces[atom, axis].item() == pytest.approx(-slope.item(), abs=2e-6)


def test_the_total_charge_is_that_of_the_data(polar, molecules, cells):
    for batch, periodic in ((molecules, False), (cells, True)):
        charges = polar(batch, periodic=periodic)["density_coefficients"][:, 0]
        total = torch.zeros(2, dtype=torch.float64).index_add(0, batch["batch"], charges)
        torch.testing.assert_close(total, batch["total_charge"], rtol=0, atol=1e-10)
    assert polar.conserves_charge()
    assert polar.inputs() == ("total_charge",)


def test_the_dipole_is_that_of_the_multipoles(polar, molecules):
    found = polar(molecules, periodic=False)
    coefficients = found["density_coefficients"]
    atomic = coefficients[:, :1] * molecules["positions"] + coefficients[:, [3, 1, 2]]
    expected = torch.stack([atomic[:6].sum(0), atomic[6:].sum(0)])
    torch.testing.assert_close(found["dipole"], expected)


def test_rotation(polar, collate, clusters, periodic_box):
    turn = Rotation.random(random_state=5).as_matrix()
    rotation = torch.tensor(turn)
    for atoms in (clusters[0], periodic_box()):
        turned = atoms.copy()
        turned.positions = atoms.positions @ turn.T
        turned.set_cell(np.array(atoms.cell) @ turn.T)
        before, after = (
            polar({**collate([a]), "total_charge": CHARGES[:1]}, periodic=bool(atoms.pbc.all()))
            for a in (atoms, turned)
        )
        torch.testing.assert_close(after["energy"], before["energy"], rtol=0, atol=1e-9)
        for name, columns in (("forces", [0, 1, 2]), ("density_coefficients", [3, 1, 2])):
            expected = before[name][:, columns] @ rotation.T
            torch.testing.assert_close(after[name][:, columns], expected, rtol=0, atol=1e-9)
        assert before["density_coefficients"][:, 1:].abs().max() > 1e-3


class Nothing(torch.nn.Module):
    def forward(self, positions, batch):
        return None


def test_molecules_are_those_of_the_library(polar, collate, clusters):
    """Without our formula the library's real-space evaluator is called, which is less accurate."""
    batch = {**collate(clusters[:1]), "total_charge": CHARGES[:1]}
    expected = polar(batch, periodic=False, compute_force=False)
    features, coulomb = polar.backbone.electric_potential_descriptor, polar.backbone.coulomb_energy
    modules = polar.molecule_features, polar.molecule_energy
    try:
        polar.molecule_features = polar.molecule_energy = Nothing()
        for part in (features, coulomb):
            part.set_pbc_handling("realspace")
        found = polar(batch, periodic=False, compute_force=False)
    finally:
        polar.molecule_features, polar.molecule_energy = modules
        for part in (features, coulomb):
            part.set_pbc_handling("pbc")
    torch.testing.assert_close(
        found["density_coefficients"], expected["density_coefficients"], rtol=0, atol=0.05
    )
    torch.testing.assert_close(found["energy"], expected["energy"], rtol=0, atol=0.2)


def test_a_large_cell_is_the_molecule(polar, collate, clusters):
    """What the images add falls with the volume."""
    alone = polar({**collate(clusters[:1]), "total_charge": CHARGES[:1]}, periodic=False)
    errors = []
    for length in (20.0, 30.0):
        boxed = clusters[0].copy()
        boxed.set_cell(length * np.eye(3))
        boxed.pbc = True
        found = polar({**collate([boxed]), "total_charge": CHARGES[:1]}, periodic=True)
        names = ("energy", "forces", "density_coefficients")
        errors.append([(found[name] - alone[name]).abs().max().item() for name in names])
    small, large = errors
    assert max(large) < 0.02
    assert all(b < 0.4 * a for a, b in zip(small, large, strict=True))


def test_moving_a_molecule_changes_nothing(polar, molecules):
    moved = {**molecules, "positions": molecules["positions"] + 7.0}
    before, after = (polar(batch, periodic=False) for batch in (molecules, moved))
    for name in ("energy", "forces", "density_coefficients"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-8)


def test_a_batch_is_its_graphs_one_by_one(polar, collate, clusters, molecules):
    together = polar(molecules, periodic=False)
    for index, atoms in enumerate(clusters):
        charge = CHARGES[index : index + 1]
        alone = polar({**collate([atoms]), "total_charge": charge}, periodic=False)
        rows = molecules["batch"] == index
        torch.testing.assert_close(together["energy"][index], alone["energy"][0])
        for name in ("forces", "density_coefficients"):
            torch.testing.assert_close(together[name][rows], alone[name], rtol=0, atol=1e-10)


def test_charge_spin_and_field_are_felt(polar, molecules):
    plain = polar(molecules, periodic=False)
    field = torch.tensor([[0.0, 0.02, 0.0], [0.01, 0.0, 0.0]], dtype=torch.float64)
    for key, value in (
        ("total_charge", CHARGES + 1),
        ("total_spin", torch.full_like(CHARGES, 3.0)),
        ("external_field", field),
    ):
        changed = polar({**molecules, key: value}, periodic=False)
        assert (changed["energy"] - plain["energy"]).abs().min() > 1e-6, key
    none = polar({**molecules, "total_spin": torch.zeros_like(CHARGES)}, periodic=False)
    assert torch.equal(none["energy"], plain["energy"])


def test_the_batch_of_the_caller_is_left_alone(polar, molecules):
    kept = {key: (value, value.clone()) for key, value in molecules.items()}
    polar(molecules, periodic=False, training=True)
    for key, value in molecules.items():
        assert value is kept[key][0]
        assert torch.equal(value, kept[key][1])
        assert not value.requires_grad


def test_its_terms(polar, molecules):
    ours = [name for name in losses.names() if "polar" in losses.get(name).families]
    returned = {name for name in ours if set(losses.get(name).outputs) <= Polar.outputs}
    assert {"forces", "atomic_multipoles", "dipole", "total_charge"} <= returned
    assert "stress" not in ours
    prediction = polar(molecules, periodic=False, training=True)
    total = prediction["forces"].square().sum() + prediction["dipole"].square().sum()
    gradients = torch.autograd.grad(total, list(polar.parameters()), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in gradients)
    assert sum(g is not None and bool(g.abs().max() > 0) for g in gradients) > 20


@pytest.mark.parametrize("name", ["polar", "polar_small"])
def test_shipped_settings(name):
    text = (CONF_DIR / "model" / f"{name}.yaml").read_text()
    values = yaml.safe_load(text)
    assert list(values) == [f.name for f in dataclasses.fields(PolarConfig)]
    check_settings(PolarConfig(**values))
    assert all("#" in line or line.startswith("family:") for line in text.splitlines()[1:])
    if name == "polar":
        assert PolarConfig(**values) == PolarConfig()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_ell": 1}, r"model\.max_ell: got 1; must be at least 2"),
        ({"field_feature_max_l": 2}, r"model\.field_feature_max_l: got 2"),
        ({"field_feature_widths": []}, r"model\.field_feature_widths \(their number\): got 0"),
        ({"field_feature_norms": [1.0]}, r"got 1 numbers; must be null or 2"),
        ({"num_recursion_steps": 0}, r"num_recursion_steps: got 0; must be at least 1"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InputError, match=message):
        check_settings(PolarConfig(**changes))
