"""The iteration: charge, convergence, the Fermi level and its derivatives, runaway densities."""

from __future__ import annotations

import pytest
import torch

from sweep.models.fixed_point.self_consistency import pseudo_random


@pytest.fixture
def batch(collate, clusters):
    return collate(clusters)


def totals(prediction, batch):
    """Total charge of each graph and step, [G, steps + 1]."""
    charges = prediction["charges_history"][:, 0]
    zeros = charges.new_zeros(len(batch["total_charge"]), charges.shape[1])
    return zeros.index_add(0, batch["batch"], charges)


def changes(prediction):
    history = prediction["charges_history"]
    return (history[..., 1:] - history[..., :-1]).abs().amax(dim=(0, 1))


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("start", ["local_guess", "from_data"])
def test_every_step_has_the_given_charge(
    fixed_point, batch, collate, periodic_box, unroll, start, periodic
):
    if periodic:
        batch = collate([periodic_box()])
        batch["total_charge"] += 1.0
    for mixing in (0.3, 1.0):
        options = unroll(initial_density=start, mixing_parameter=mixing, num_scf_steps=4)
        prediction = fixed_point(batch, periodic=periodic, fixed_point=options)
        found = totals(prediction, batch)
        expected = batch["total_charge"].unsqueeze(1).expand_as(found)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_at_convergence_one_more_step_changes_nothing(fixed_point, batch, unroll):
    many, more = (
        fixed_point(batch, periodic=False, fixed_point=unroll(num_scf_steps=n)) for n in (40, 41)
    )
    for name, value in many.items():
        if name not in ("charges_history", "perturbing_vector", "perturbed_density"):
            torch.testing.assert_close(more[name], value, rtol=1e-12, atol=1e-11)
    assert changes(more)[-1] < 1e-13


def test_the_start_does_not_matter(fixed_point, batch, unroll):
    guess, data = (
        fixed_point(
            batch, periodic=False, fixed_point=unroll(num_scf_steps=40, initial_density=start)
        )
        for start in ("local_guess", "from_data")
    )
    for name in ("energy", "forces", "density_coefficients", "fermi_level", "esps"):
        torch.testing.assert_close(data[name], guess[name], rtol=1e-11, atol=1e-10)


def test_the_history_begins_where_it_is_told_to(fixed_point, batch, unroll):
    options = unroll(initial_density="from_data", num_scf_steps=1, constant_charge=False)
    history = fixed_point(batch, periodic=False, fixed_point=options)["charges_history"]
    assert torch.equal(history[..., 0], batch["density_coefficients"])


def test_mixing_takes_a_part_of_the_step(fixed_point, batch, unroll):
    whole, half = (
        fixed_point(
            batch, periodic=False, fixed_point=unroll(num_scf_steps=1, mixing_parameter=mixing)
        )["charges_history"]
        for mixing in (1.0, 0.5)
    )
    torch.testing.assert_close(half[..., 1], (whole[..., 0] + whole[..., 1]) / 2)


def test_a_converged_graph_stays_as_it_is(fixed_point, batch, unroll):
    prediction = fixed_point(
        batch, periodic=False, fixed_point=unroll(num_scf_steps=30, scf_tolerance=1e-5)
    )
    history = prediction["charges_history"]
    for graph in range(2):
        rows = batch["batch"] == graph
        mean = (history[rows, :, 1:] - history[rows, :, :-1]).abs().mean(dim=(0, 1))
        stopped = int((mean < 1e-5).nonzero()[0])
        assert 2 < stopped < 28
        assert (mean[:stopped] >= 1e-5).all()
        assert (mean[stopped + 1 :] == 0).all()
    assert (prediction["loss_weight_modifier"] == 1).all()


class TestFermiLevel:
    def test_charge_given_and_level_given_are_the_same_state(self, fixed_point, batch, unroll):
        """The level found at the given charge, held instead of it, leads to that charge."""
        at_charge = fixed_point(batch, periodic=False, fixed_point=unroll(num_scf_steps=40))
        at_level = fixed_point(
            {**batch, "fermi_level": at_charge["fermi_level"]},
            periodic=False,
            fixed_point=unroll(num_scf_steps=60, constant_charge=False),
        )
        for name in ("energy", "density_coefficients", "fermi_level", "dipole"):
            torch.testing.assert_close(at_level[name], at_charge[name], rtol=1e-10, atol=1e-9)
        torch.testing.assert_close(totals(at_level, batch)[:, -1], batch["total_charge"])

    def test_level_by_charge_and_charge_by_level_are_inverse(self, fixed_point, batch, unroll):
        h = 1e-3

        def level(shift):
            at = {**batch, "total_charge": batch["total_charge"] + shift}
            return fixed_point(at, periodic=False, fixed_point=unroll(num_scf_steps=40))[
                "fermi_level"
            ]

        def charge(shift):
            at = {**batch, "fermi_level": level(0.0) + shift}
            options = unroll(num_scf_steps=60, constant_charge=False)
            return totals(fixed_point(at, periodic=False, fixed_point=options), batch)[:, -1]

        level_by_charge = (level(h) - level(-h)) / (2 * h)
        charge_by_level = (charge(h) - charge(-h)) / (2 * h)
        torch.testing.assert_close(level_by_charge * charge_by_level, torch.ones(2).double())
        assert (charge_by_level < 0).all()  # electrons fill up as the level rises

    def test_dq_dmu_is_the_response_before_the_field_answers(self, fixed_point, batch, unroll):
        """One step from the same density at two levels."""
        h = 1e-3
        found = []
        for shift in (h, -h):
            at = {**batch, "fermi_level": batch["fermi_level"] + shift}
            options = unroll(
                num_scf_steps=1,
                mixing_parameter=1.0,
                constant_charge=False,
                initial_density="from_data",
            )
            prediction = fixed_point(at, periodic=False, fixed_point=options)
            found.append(totals(prediction, batch)[:, 1])
        torch.testing.assert_close((found[0] - found[1]) / (2 * h), prediction["dq_dmu"])
        assert (prediction["dq_dmu"] < 0).all()

    def test_a_level_of_zero(self, fixed_point, batch, unroll):
        prediction = fixed_point(
            batch,
            periodic=False,
            fixed_point=unroll(constant_charge=False, initial_fermi_level="zero"),
        )
        torch.testing.assert_close(prediction["fermi_level"], torch.zeros(2).double())

    def test_the_offset_changes_the_level_only_at_the_start(self, build_fixed_point, batch, unroll):
        """What a model answers at a given charge does not depend on where levels are counted."""
        plain, counted = (build_fixed_point(fermi_level_offset=offset) for offset in (0.0, -6.0))
        a, b = (m(batch, periodic=False, fixed_point=unroll()) for m in (plain, counted))
        torch.testing.assert_close(b["fermi_level"], a["fermi_level"] - 6.0)
        torch.testing.assert_close(b["density_coefficients"], a["density_coefficients"])


class TestStability:
    def test_the_perturbed_density_is_what_one_step_makes_of_the_perturbation(
        self, fixed_point, batch, unroll
    ):
        start = {"initial_density": "from_data", "constant_charge": False}
        prediction = fixed_point(batch, periodic=False, fixed_point=unroll(**start))
        vector = prediction["perturbing_vector"]
        once = unroll(num_scf_steps=1, mixing_parameter=1.0, **start)
        ends = []
        for sign in (1, -1):
            at = {**batch, "density_coefficients": batch["density_coefficients"] + sign * vector}
            ends.append(fixed_point(at, periodic=False, fixed_point=once)["density_coefficients"])
        torch.testing.assert_close((ends[0] - ends[1]) / 2, prediction["perturbed_density"])

    def test_at_constant_charge_a_perturbation_loses_its_charge(self, fixed_point, batch, unroll):
        change = fixed_point(batch, periodic=False, fixed_point=unroll())["perturbed_density"]
        for rows in (slice(0, 6), slice(6, None)):
            assert change[rows, 0].sum().abs() < 1e-13
            assert change[rows].abs().max() > 1e-4

    def test_a_density_that_runs_away_counts_less(self, build_fixed_point, batch, unroll):
        model = build_fixed_point()
        calm = model(batch, periodic=False, fixed_point=unroll())
        assert (calm["loss_weight_modifier"] == 1).all()
        with torch.no_grad():
            model.response.network.down.bias += 60.0  # a response 60 times as strong
        wild = model(batch, periodic=False, fixed_point=unroll(mixing_parameter=1.0))
        assert changes(wild)[-1] > 10 * changes(wild)[0]
        growth = []
        for rows in (slice(0, 6), slice(6, None)):
            history = wild["charges_history"][rows]
            mean = (history[..., 1:] - history[..., :-1]).abs().mean(dim=(0, 1))
            growth.append(mean[0] / mean[-1])
        torch.testing.assert_close(wild["loss_weight_modifier"], torch.stack(growth))
        assert not wild["loss_weight_modifier"].requires_grad
        # its step enlarges a perturbation, which is what the stability term sees
        ratio = wild["perturbed_density"].square().sum() / wild["perturbing_vector"].square().sum()
        assert ratio > 1

    def test_pseudo_random_numbers_look_random_and_are_no_part_of_the_graph(self):
        density = torch.randn(4000, 4, dtype=torch.float64, requires_grad=True)
        numbers = pseudo_random(density)
        assert not numbers.requires_grad
        assert numbers.mean().abs() < 0.05
        assert (numbers.var() - 1).abs() < 0.05
        assert torch.equal(numbers, pseudo_random(density))
        assert not torch.equal(numbers, pseudo_random(density + 1e-5))
