"""Laws of the local-source family: derivatives, symmetries, batches, and what the caller keeps."""

from __future__ import annotations

import ase
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from sweep.models.local_charges import LocalCharges

FIELD = torch.tensor([[0.02, -0.05, 0.03], [0.0, 0.04, -0.01]], dtype=torch.float64)


class TestOutputs:
    def test_names_and_shapes(self, model, collate, clusters, periodic_box):
        batch = collate(clusters)
        shapes = {k: tuple(v.shape) for k, v in model(batch, periodic=False).items()}
        assert shapes == {
            "energy": (2,),
            "forces": (10, 3),
            "density_coefficients": (10, 4),
            "dipole": (2, 3),
            "esps": (10,),
            "esps_dft": (10,),
        }
        prediction = model(collate([periodic_box()]), periodic=True, compute_stress=True)
        assert set(prediction) == LocalCharges.outputs
        assert prediction["stress"].shape == (1, 3, 3)

    def test_charges_start_at_the_mean_of_their_element(self, model, collate, clusters):
        charges = model(collate(clusters), periodic=False)["density_coefficients"][:, 0]
        is_oxygen = torch.tensor(np.concatenate([a.numbers == 8 for a in clusters]))
        torch.testing.assert_close(
            charges, torch.where(is_oxygen, -0.6, 0.3).double(), rtol=0, atol=0.2
        )

    def test_dipole_is_the_sum_over_charges_and_atomic_dipoles(self, model, collate, clusters):
        batch = collate(clusters)
        prediction = model(batch, periodic=False)
        coefficients = prediction["density_coefficients"]
        atomic = coefficients[:, :1] * batch["positions"] + coefficients[:, [3, 1, 2]]
        expected = torch.stack([atomic[:6].sum(0), atomic[6:].sum(0)])
        torch.testing.assert_close(prediction["dipole"], expected)

    def test_charges_only(self, build_model, collate, clusters):
        prediction = build_model(atomic_multipoles_max_l=0)(collate(clusters), periodic=False)
        assert prediction["density_coefficients"].shape == (10, 1)
        assert prediction["esps_dft"].shape == (10,)

    def test_potentials_of_equal_multipoles_are_equal(self, model, collate, clusters, periodic_box):
        for batch, periodic in (
            (collate(clusters), False),
            (collate([periodic_box()]), True),
        ):
            prediction = model(batch, periodic=periodic)
            batch["density_coefficients"] = torch.cat(
                [prediction["density_coefficients"], torch.ones(len(batch["batch"]), 5)], dim=1
            )  # a file with quadrupoles: cut to what the model has
            again = model(batch, periodic=periodic)
            torch.testing.assert_close(again["esps_dft"], again["esps"], rtol=0, atol=0)
            stored = model.reference(batch, periodic=periodic)["esps_dft"]
            torch.testing.assert_close(stored, again["esps"], rtol=0, atol=0)

    def test_stored_potentials_are_used(self, model, collate, clusters):
        batch = collate(clusters)
        batch["esps_dft"] = torch.arange(10.0, dtype=torch.float64)
        assert torch.equal(model(batch, periodic=False)["esps_dft"], batch["esps_dft"])


class TestDerivatives:
    @pytest.mark.parametrize("max_l", [0, 1])
    def test_forces_of_molecules(self, build_model, max_l, collate, clusters):
        model = build_model(atomic_multipoles_max_l=max_l)
        batch = {**collate(clusters), "external_field": FIELD}
        assert_forces_match_finite_differences(model, batch, periodic=False)

    def test_forces_in_a_periodic_cell(self, model, collate, periodic_box):
        assert_forces_match_finite_differences(model, collate([periodic_box()]), periodic=True)

    def test_stress(self, model, collate, periodic_box):
        assert_stress_matches_finite_differences(model, periodic_box(), collate)

    def test_forces_with_self_interaction(self, build_model, collate, clusters):
        model = build_model(include_electrostatic_self_interaction=True)
        assert_forces_match_finite_differences(model, collate(clusters), periodic=False)

    @pytest.mark.parametrize("handling", ["auto", "slab"])
    def test_forces_and_stress_of_a_slab(self, build_model, handling, collate, periodic_box):
        model = build_model(pbc_handling=handling)
        atoms = periodic_box(lengths=(5.2, 5.8, 14.0))
        atoms.pbc = [True, True, handling == "slab"]
        batch = {**collate([atoms]), "external_field": FIELD[:1] * torch.tensor([0.0, 0, 1])}
        assert_forces_match_finite_differences(model, batch, periodic=True)
        assert_stress_matches_finite_differences(model, atoms, collate)
        forces = model(collate([atoms]), periodic=True)["forces"]
        torch.testing.assert_close(forces.sum(0), torch.zeros(3).double(), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("handling", ["molecule_in_box", "mixed_periodic"])
    def test_forces_of_a_molecule_in_a_box(self, build_model, handling, collate, clusters):
        model = build_model(pbc_handling=handling)
        boxed = clusters[1].copy()
        boxed.set_cell(16.0 * np.eye(3))
        batch = collate([boxed])
        assert_forces_match_finite_differences(model, batch, periodic=False)
        alone = build_model()(batch, periodic=False)
        for name, value in model(batch, periodic=False).items():
            if name != "esps_dft":
                torch.testing.assert_close(value, alone[name], rtol=0, atol=5e-3)

    def test_stress_and_forces_together_change_nothing(self, model, collate, periodic_box):
        batch = collate([periodic_box(), periodic_box(seed=5, lengths=(6.0, 6.0, 5.0))])
        alone = model(batch, periodic=True)
        both = model(batch, periodic=True, compute_stress=True)
        for name, value in alone.items():
            torch.testing.assert_close(both[name], value, rtol=0, atol=1e-10)

    def test_dipole_is_the_derivative_by_the_field(self, model, collate, clusters):
        field = FIELD.clone().requires_grad_(True)
        state = model.evaluate({**collate(clusters), "external_field": field}, periodic=False)
        (gradient,) = torch.autograd.grad(state.energy.sum(), field)
        torch.testing.assert_close(gradient, state.outputs["dipole"])

    def test_no_field_is_a_field_of_zero(self, model, collate, clusters):
        batch = collate(clusters)
        expected = model(batch, periodic=False)
        del batch["external_field"]
        for name, value in model(batch, periodic=False).items():
            assert torch.equal(value, expected[name])

    def test_forces_need_no_gradient_mode(self, model, collate, clusters):
        batch = collate(clusters)
        expected = model(batch, periodic=False)["forces"]
        with torch.no_grad():
            assert torch.equal(model(batch, periodic=False)["forces"], expected)

    def test_every_parameter_has_a_finite_gradient(self, build_model, collate, clusters):
        model = build_model()
        batch = collate([*clusters, ase.Atoms("O"), ase.Atoms("H", [[9.0, 9.0, 9.0]])])
        prediction = model(batch, periodic=False, training=True)
        loss = sum(prediction[name].square().mean() for name in prediction if name != "esps_dft")
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
            assert gradient.isfinite().all(), name
            assert gradient.abs().max() > 0, name


class TestSymmetry:
    def test_rotation(self, model, collate, clusters):
        turn = Rotation.random(random_state=5).as_matrix()
        turned = [atoms.copy() for atoms in clusters]
        for atoms in turned:
            atoms.positions = atoms.positions @ turn.T
        before, after = (model(collate(c), periodic=False) for c in (clusters, turned))
        rotation = torch.tensor(turn)
        for name in ("energy", "esps"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-12, atol=1e-12)
        for name in ("forces", "dipole"):
            torch.testing.assert_close(after[name], before[name] @ rotation.T, rtol=0, atol=1e-11)
        new, old = after["density_coefficients"], before["density_coefficients"]
        torch.testing.assert_close(new[:, 0], old[:, 0], rtol=0, atol=1e-12)
        torch.testing.assert_close(
            new[:, [3, 1, 2]], old[:, [3, 1, 2]] @ rotation.T, rtol=0, atol=1e-12
        )
        assert old[:, 1:].abs().max() > 1e-3

    def test_translation(self, model, collate, clusters):
        move = np.array([3.0, -4.0, 2.5])
        moved = [atoms.copy() for atoms in clusters]
        for atoms in moved:
            atoms.positions += move
        before, after = (model(collate(c), periodic=False) for c in (clusters, moved))
        for name in ("energy", "forces", "density_coefficients", "esps"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-12, atol=1e-11)
        charge = before["density_coefficients"][:, 0]
        total = torch.stack([charge[:6].sum(), charge[6:].sum()])
        expected = before["dipole"] + total[:, None] * torch.tensor(move)
        torch.testing.assert_close(after["dipole"], expected)

    def test_translation_and_wrapping_in_a_cell(self, model, collate, periodic_box):
        atoms = periodic_box()
        moved = atoms.copy()
        moved.positions += [1.3, -2.2, 4.0]
        moved.wrap()
        before, after = (model(collate([a]), periodic=True) for a in (atoms, moved))
        for name in ("energy", "forces", "density_coefficients", "esps"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-12, atol=1e-9)

    def test_permutation(self, model, collate, clusters):
        order = np.random.default_rng(0).permutation(6)
        before = model(collate(clusters[:1]), periodic=False)
        after = model(collate([clusters[0][order]]), periodic=False)
        for name in ("energy", "dipole"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-12, atol=1e-12)
        for name in ("forces", "density_coefficients", "esps"):
            torch.testing.assert_close(after[name], before[name][order], rtol=0, atol=1e-11)


def assert_forces_match_finite_differences(model, batch, *, periodic):
    forces = model(batch, periodic=periodic)["forces"]
    h = 1e-4
    expected = torch.zeros_like(forces)
    for atom in range(0, len(forces), 2):
        for axis in range(3):
            for sign in (1, -1):
                positions = batch["positions"].clone()
                positions[atom, axis] += sign * h
                moved = {**batch, "positions": positions}
                energy = model(moved, periodic=periodic, compute_force=False)["energy"]
                expected[atom, axis] -= sign * energy.sum() / (2 * h)
    torch.testing.assert_close(forces[::2], expected[::2], rtol=0, atol=2e-7)


def assert_stress_matches_finite_differences(model, atoms, collate):
    h = 1e-4
    stress = model(collate([atoms]), periodic=True, compute_stress=True)["stress"][0]
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i, j in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            energy = model(collate([strained]), periodic=True, compute_force=False)["energy"]
            expected[i, j] += sign * energy.item() / (2 * h * atoms.get_volume())
        expected[j, i] = expected[i, j]
    torch.testing.assert_close(stress, expected, rtol=0, atol=1e-8)
