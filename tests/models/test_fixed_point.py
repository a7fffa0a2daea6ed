"""Laws of the self-consistent family: derivatives, symmetries, batches, the caller's tensors."""

from __future__ import annotations

import ase
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

FIELD = torch.tensor([[0.02, -0.05, 0.03], [0.0, 0.04, -0.01]], dtype=torch.float64)
PER_GRAPH = ("energy", "dipole", "fermi_level", "dq_dmu", "loss_weight_modifier")
SCALARS = ("energy", "esps", "fermi_level", "dq_dmu", "loss_weight_modifier")


@pytest.fixture(params=["direct", "constant charge", "constant level"])
def options(request, direct, unroll):
    """Every way to a density."""
    if request.param == "direct":
        return direct
    return unroll(constant_charge=request.param == "constant charge")


@pytest.fixture
def batch(collate, clusters):
    return {**collate(clusters), "external_field": FIELD}


def moved(clusters, change):
    copies = [atoms.copy() for atoms in clusters]
    for atoms in copies:
        atoms.positions = change(atoms.positions)
    return copies


class TestOutputs:
    def test_names_and_shapes(self, fixed_point, batch, direct, unroll):
        prediction = fixed_point(batch, periodic=False, fixed_point=unroll(num_scf_steps=3))
        assert set(prediction) == fixed_point.outputs
        assert {k: tuple(v.shape) for k, v in prediction.items()} == {
            "energy": (2,),
            "forces": (10, 3),
            "density_coefficients": (10, 4),
            "dipole": (2, 3),
            "esps": (10,),
            "esps_dft": (10,),
            "feats_no_mu_model": (10, 8),
            "feats_no_mu_dft": (10, 8),
            "fermi_level": (2,),
            "charges_history": (10, 4, 4),
            "dq_dmu": (2,),
            "perturbing_vector": (10, 4),
            "perturbed_density": (10, 4),
            "loss_weight_modifier": (2,),
        }
        once = fixed_point(batch, periodic=False, fixed_point=direct)
        assert set(once) == {
            name
            for name in fixed_point.outputs
            if fixed_point.reason_against(name, fixed_point=direct) is None or name == "fermi_level"
        } - {"loss_weight_modifier"}

    def test_a_direct_step_from_its_own_solution_stays_there(
        self, fixed_point, batch, direct, unroll
    ):
        solved = fixed_point(batch, periodic=False, fixed_point=unroll(num_scf_steps=40))
        known = {name: solved[name] for name in ("density_coefficients", "fermi_level")}
        again = fixed_point({**batch, **known}, periodic=False, fixed_point=direct)
        # not the forces: those of a direct step leave the density that it starts from where it is
        for name in ("energy", "density_coefficients", "esps"):
            torch.testing.assert_close(again[name], solved[name], rtol=1e-11, atol=1e-9)
        for name in ("esps_dft", "feats_no_mu_dft"):
            output = {"esps_dft": "esps", "feats_no_mu_dft": "feats_no_mu_model"}[name]
            torch.testing.assert_close(again[name], again[output], rtol=0, atol=1e-9)

    def test_dipole_is_that_of_the_density(self, fixed_point, batch, options):
        prediction = fixed_point(batch, periodic=False, fixed_point=options)
        density = prediction["density_coefficients"]
        atomic = density[:, :1] * batch["positions"] + density[:, [3, 1, 2]]
        expected = torch.stack([atomic[:6].sum(0), atomic[6:].sum(0)])
        torch.testing.assert_close(prediction["dipole"], expected)

    @pytest.mark.parametrize(
        "changes",
        [
            {"atomic_multipoles_max_l": 0},
            {"field_feature_max_l": 0, "field_feature_widths": [1.5]},
            {"include_field_si": True, "include_local_electron_energy": False},
            {"atomic_multipoles_max_l": 0, "field_feature_max_l": 0},
            {"field_feature_norms": [25.0, 20.0, 1.0, 2.0], "fermi_level_offset": -3.0},
        ],
    )
    def test_settings(self, build_fixed_point, changes, batch, direct, unroll):
        model = build_fixed_point(**changes)
        n = (model.max_l + 1) ** 2
        for options in (direct, unroll(num_scf_steps=2)):
            prediction = model(batch, periodic=False, fixed_point=options)
            assert prediction["density_coefficients"].shape == (10, n)
            assert all(value.isfinite().all() for value in prediction.values())

    def test_norms_and_offset_are_of_the_training_set(self, build_fixed_point, collate, clusters):
        batch = collate(clusters)
        batch["density_coefficients_weight"] = torch.tensor([1.0, 0.0], dtype=torch.float64)
        batch["fermi_level_weight"] = torch.tensor([0.0, 2.0], dtype=torch.float64)
        model = build_fixed_point(field_feature_norms="average")
        raw = model.reference(batch, periodic=False)["feats_no_mu_dft"][:6]
        model.prepare([(batch, False)])
        normed = model.reference(batch, periodic=False)["feats_no_mu_dft"][:6]
        torch.testing.assert_close(normed, raw / model.field_feature_norms)
        sizes = normed.square().mean(0)
        expected = torch.ones(4, dtype=torch.float64)
        found = torch.stack([sizes[0], sizes[1], sizes[2:5].mean(), sizes[5:8].mean()])
        torch.testing.assert_close(found, expected)
        assert model.fermi_level_offset == -12.0
        assert {"field_feature_norms", "fermi_level_offset"} <= set(model.state_dict())


class TestDerivatives:
    def test_forces(self, fixed_point, batch, options):
        assert_forces_match_finite_differences(fixed_point, batch, options, periodic=False)

    def test_forces_in_a_periodic_cell(self, fixed_point, collate, periodic_box, direct, unroll):
        batch = collate([periodic_box()])
        for options in (direct, unroll()):
            assert_forces_match_finite_differences(fixed_point, batch, options, periodic=True)

    def test_no_field_is_a_field_of_zero(self, fixed_point, collate, clusters, options):
        batch = collate(clusters)
        expected = fixed_point(batch, periodic=False, fixed_point=options)
        del batch["external_field"]
        for name, value in fixed_point(batch, periodic=False, fixed_point=options).items():
            assert torch.equal(value, expected[name])

    def test_every_parameter_has_a_finite_gradient(
        self, build_fixed_point, collate, clusters, options
    ):
        model = build_fixed_point()
        batch = collate([*clusters, ase.Atoms("O"), ase.Atoms("H", [[9.0, 9.0, 9.0]])])
        batch["external_field"] = torch.full((4, 3), 0.02, dtype=torch.float64)
        prediction = model(batch, periodic=False, training=True, fixed_point=options)
        loss = sum(value.square().mean() for value in prediction.values() if value.requires_grad)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
            assert gradient.isfinite().all(), name
            assert gradient.abs().max() > 0, name

    def test_a_field_polarizes(self, fixed_point, collate, clusters, unroll):
        """The field is minus the physical one, so the dipole falls with it."""
        batch = collate(clusters)
        options = unroll(num_scf_steps=30)
        field = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
        state = fixed_point.evaluate(
            {**batch, "external_field": field}, periodic=False, fixed_point=options
        )
        rows = [
            torch.autograd.grad(state.outputs["dipole"][0, i], field, retain_graph=True)[0][0]
            for i in range(3)
        ]
        response = torch.stack(rows)
        assert (torch.linalg.eigvalsh((response + response.T) / 2) < 0).all()


class TestSymmetry:
    def test_rotation(self, fixed_point, collate, clusters, options):
        turn = Rotation.random(random_state=5).as_matrix()
        rotation = torch.tensor(turn)
        batch = {**collate(clusters), "external_field": FIELD}
        turned = collate(moved(clusters, lambda positions: positions @ turn.T))
        turned["external_field"] = FIELD @ rotation.T
        reference = batch["density_coefficients"]
        turned["density_coefficients"] = torch.cat(
            [reference[:, :1], (reference[:, [3, 1, 2]] @ rotation.T)[:, [1, 2, 0]]], dim=1
        )
        before, after = (
            fixed_point(b, periodic=False, fixed_point=options) for b in (batch, turned)
        )
        for name in set(SCALARS) & set(before):
            torch.testing.assert_close(after[name], before[name], rtol=1e-11, atol=1e-10)
        for name in ("forces", "dipole"):
            torch.testing.assert_close(after[name], before[name] @ rotation.T, rtol=0, atol=1e-10)
        new, old = after["density_coefficients"], before["density_coefficients"]
        torch.testing.assert_close(new[:, 0], old[:, 0], rtol=0, atol=1e-11)
        torch.testing.assert_close(
            new[:, [3, 1, 2]], old[:, [3, 1, 2]] @ rotation.T, rtol=0, atol=1e-11
        )

    def test_translation(self, fixed_point, collate, clusters, options):
        move = np.array([3.0, -4.0, 2.5])
        before, after = (
            fixed_point(collate(c), periodic=False, fixed_point=options)
            for c in (clusters, moved(clusters, lambda positions: positions + move))
        )
        for name in ("energy", "forces", "density_coefficients", "esps", "fermi_level"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-11, atol=1e-10)

    def test_translation_and_wrapping_in_a_cell(self, fixed_point, collate, periodic_box, unroll):
        atoms = periodic_box()
        shifted = atoms.copy()
        shifted.positions += [1.3, -2.2, 4.0]
        shifted.wrap()
        before, after = (
            fixed_point(collate([a]), periodic=True, fixed_point=unroll()) for a in (atoms, shifted)
        )
        for name in ("energy", "forces", "density_coefficients", "esps", "fermi_level"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-11, atol=1e-8)

    def test_permutation(self, fixed_point, collate, clusters, options):
        order = np.random.default_rng(0).permutation(6)
        first, second = collate(clusters[:1]), collate([clusters[0][order]])
        second["density_coefficients"] = first["density_coefficients"][order]
        before = fixed_point(first, periodic=False, fixed_point=options)
        after = fixed_point(second, periodic=False, fixed_point=options)
        for name, value in before.items():
            expected = value if name in PER_GRAPH else value[order]
            torch.testing.assert_close(after[name], expected, rtol=1e-8, atol=1e-8)


class TestBatches:
    def test_a_batch_is_its_graphs_one_by_one(
        self, fixed_point, collate, clusters, water_cluster, options
    ):
        configurations = [*clusters, water_cluster(3, seed=9)]
        batch = collate(configurations)
        together = fixed_point(batch, periodic=False, fixed_point=options)
        for index, atoms in enumerate(configurations):
            rows = batch["batch"] == index
            single = collate([atoms])
            single["density_coefficients"] = batch["density_coefficients"][rows]
            alone = fixed_point(single, periodic=False, fixed_point=options)
            for name, value in alone.items():
                part = together[name][[index] if name in PER_GRAPH else rows]
                torch.testing.assert_close(part, value, rtol=1e-8, atol=1e-8)

    def test_periodic_batch_is_its_graphs_one_by_one(
        self, fixed_point, collate, periodic_box, unroll
    ):
        boxes = [periodic_box(), periodic_box(seed=6, lengths=(4.9, 7.0, 6.0))]
        together = fixed_point(collate(boxes), periodic=True, fixed_point=unroll())
        for index, atoms in enumerate(boxes):
            alone = fixed_point(collate([atoms]), periodic=True, fixed_point=unroll())
            rows = slice(6 * index, 6 * index + 6)
            for name in ("energy", "fermi_level"):
                torch.testing.assert_close(together[name][[index]], alone[name])
            for name in ("forces", "density_coefficients", "esps"):
                torch.testing.assert_close(together[name][rows], alone[name], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("periodic", [False, True])
    def test_the_batch_of_the_caller_is_left_alone(
        self, fixed_point, periodic, collate, clusters, periodic_box, direct, unroll
    ):
        batch = collate([periodic_box()] if periodic else clusters)
        kept = {key: (value, value.clone()) for key, value in batch.items()}
        for options in (direct, unroll(num_scf_steps=2)):
            for training in (False, True):
                fixed_point(batch, periodic=periodic, training=training, fixed_point=options)
        assert batch.keys() == kept.keys()
        for key, value in batch.items():
            assert value is kept[key][0], key
            assert torch.equal(value, kept[key][1]), key
            assert not value.requires_grad, key

    def test_stored_references_are_used(self, fixed_point, batch, unroll):
        batch |= fixed_point.reference(batch, periodic=False)
        prediction = fixed_point(batch, periodic=False, fixed_point=unroll(num_scf_steps=1))
        for name in ("esps_dft", "feats_no_mu_dft"):
            assert torch.equal(prediction[name], batch[name])

    def test_nothing_waits_for_the_device(self, build_fixed_point, batch, options):
        """Tensors of the meta device have no values: whatever reads one on the host fails."""
        model = build_fixed_point().to("meta")
        batch = {key: value.to("meta") for key, value in batch.items()}
        prediction = model(batch, periodic=False, training=True, fixed_point=options)
        loss = sum(value.square().mean() for value in prediction.values() if value.requires_grad)
        torch.autograd.grad(loss, list(model.parameters()))

    def test_single_precision(self, build_fixed_point, fixed_point, collate, clusters, unroll):
        single = build_fixed_point(dtype=torch.float32)
        with torch.no_grad():
            for a, b in zip(single.parameters(), fixed_point.parameters(), strict=True):
                a.copy_(b)
        expected = fixed_point(collate(clusters), periodic=False, fixed_point=unroll())
        batch = collate(clusters, torch.float32)
        prediction = single(batch, periodic=False, fixed_point=unroll())
        for name in ("energy", "forces", "density_coefficients", "esps", "fermi_level"):
            assert prediction[name].dtype == torch.float32
            atol = {"energy": 1e-3, "fermi_level": 2e-4}.get(name, 5e-5)
            torch.testing.assert_close(prediction[name].double(), expected[name], rtol=0, atol=atol)


def assert_forces_match_finite_differences(model, batch, options, *, periodic):
    forces = model(batch, periodic=periodic, fixed_point=options)["forces"]
    h = 1e-4
    expected = torch.zeros_like(forces)
    for atom in range(0, len(forces), 3):
        for axis in range(3):
            for sign in (1, -1):
                positions = batch["positions"].clone()
                positions[atom, axis] += sign * h
                at = {**batch, "positions": positions}
                energy = model(at, periodic=periodic, compute_force=False, fixed_point=options)
                expected[atom, axis] -= sign * energy["energy"].sum() / (2 * h)
    torch.testing.assert_close(forces[::3], expected[::3], rtol=0, atol=2e-7)
