"""Laws of the plain MACE family, and that it is mace-torch's own model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from scipy.spatial.transform import Rotation

import losses
from sweep.config.stages import CONF_DIR
from sweep.models import DataStatistics, build, check_settings
from sweep.models.mace import Mace
from sweep.models.settings import MaceConfig

SMALL = {"num_channels": 4, "r_max": 4.0, "max_ell": 2, "radial_MLP": [8], "MLP_irreps": "4x0e"}


@pytest.fixture(scope="module")
def mace(statistics: DataStatistics) -> Mace:
    return build(MaceConfig(**SMALL), statistics, seed=1, dtype=torch.float64)


def test_outputs(mace, collate, clusters, periodic_box):
    prediction = mace(collate(clusters), periodic=False)
    assert {k: tuple(v.shape) for k, v in prediction.items()} == {
        "energy": (2,),
        "forces": (10, 3),
    }
    prediction = mace(collate([periodic_box()]), periodic=True, compute_stress=True)
    assert set(prediction) == Mace.outputs


def test_it_is_the_model_of_mace_torch(mace, collate, clusters, periodic_box):
    for batch, periodic in ((collate(clusters), False), (collate([periodic_box()]), True)):
        expected = mace.backbone(dict(batch), compute_force=True, compute_stress=periodic)
        found = mace(batch, periodic=periodic, compute_stress=periodic)
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name].detach(), rtol=0, atol=1e-12)


def test_forces_and_stress_by_finite_differences(mace, collate, periodic_box):
    atoms, h = periodic_box(), 1e-4
    found = mace(collate([atoms]), periodic=True, compute_stress=True)

    def energy(changed):
        return mace(collate([changed]), periodic=True, compute_force=False)["energy"].item()

    for atom, axis in ((0, 0), (2, 1), (5, 2)):
        plus, minus = atoms.copy(), atoms.copy()
        plus.positions[atom, axis] += h
        minus.positions[atom, axis] -= h
        slope = (energy(plus) - energy(minus)) / (2 * h)
        assert found["forces"][atom, axis].item() == pytest.approx(-slope, abs=1e-7)
    for i, j in ((0, 0), (1, 2)):
        values = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            values.append(energy(strained))
        slope = (values[0] - values[1]) / (2 * h * atoms.get_volume())
        assert found["stress"][0, i, j].item() == pytest.approx(slope, abs=1e-9)


def test_rotation_and_wires(mace, collate, clusters, periodic_box):
    turn = Rotation.random(random_state=5).as_matrix()
    wire = periodic_box()
    wire.pbc = [True, False, False]
    for atoms in (clusters[0], wire):
        turned = atoms.copy()
        turned.positions = atoms.positions @ turn.T
        turned.set_cell(np.array(atoms.cell) @ turn.T)
        before, after = (
            mace(collate([a]), periodic=bool(atoms.pbc.any())) for a in (atoms, turned)
        )
        torch.testing.assert_close(after["energy"], before["energy"], rtol=1e-12, atol=0)
        expected = before["forces"] @ torch.tensor(turn).T
        torch.testing.assert_close(after["forces"], expected, rtol=0, atol=1e-11)


def test_its_terms():
    ours = {name for name in losses.names() if "mace" in losses.get(name).families}
    assert ours == {
        *("energy_per_atom", "energy_per_atom_huber", "forces", "forces_huber"),
        *("stress", "stress_huber"),
        *("cluster_virial", "cluster_virial_per_atom", "molecular_forces"),
    }
    assert all(set(losses.get(name).outputs) <= Mace.outputs for name in ours)


@pytest.mark.parametrize("name", ["mace", "mace_small"])
def test_shipped_settings(name):
    text = (CONF_DIR / "model" / f"{name}.yaml").read_text()
    values = yaml.safe_load(text)
    assert list(values) == [f.name for f in dataclasses.fields(MaceConfig)]
    check_settings(MaceConfig(**values))
    for line in text.splitlines()[1:]:
        assert "#" in line or line.startswith("family:"), line
    if name == "mace":
        assert MaceConfig(**values) == MaceConfig()
