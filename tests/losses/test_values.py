"""Values and gradients: pinned numbers, and the published formulas written again in NumPy."""

import numpy as np
import pytest
import torch

import losses

# The formulas, atom by atom, as they stand on paper


def graphs_of(r):
    return range(len(r["weight"]))


def atoms_of(g, r):
    return np.flatnonzero(r["batch"] == g)


def size(g, r):
    return len(atoms_of(g, r))


def over_graphs(key, mask, power):
    def value(p, r):
        weight = r["weight"] * (r[mask] if mask else 1.0)
        return np.mean(
            [weight[g] * ((r[key][g] - p[key][g]) / size(g, r) ** power) ** 2 for g in graphs_of(r)]
        )

    return value


def over_components(key, mask, power):
    def value(p, r):
        return np.mean(
            [
                r["weight"][g] * r[mask][g] * ((r[key][g] - p[key][g]) / size(g, r) ** power) ** 2
                for g in graphs_of(r)
            ]
        )

    return value


def over_atoms(predicted, reference, mask):
    def value(p, r):
        wanted = (
            {**r, **p}[reference] if reference in p and reference != predicted else r[reference]
        )
        return np.mean(
            [
                r["weight"][g] * r[mask][g] * np.mean((wanted[i] - p[predicted][i]) ** 2)
                for i, g in enumerate(r["batch"])
            ]
        )

    return value


def charge(power):
    def value(p, r):
        errors = [
            (r["total_charge"][g] - p["density_coefficients"][atoms_of(g, r), 0].sum())
            / size(g, r) ** power
            for g in graphs_of(r)
        ]
        return np.mean(r["weight"] * np.square(errors))

    return value


def molecules_of(g, r):
    for name in sorted(set(r["cluster_batch"][atoms_of(g, r)])):
        yield [i for i in atoms_of(g, r) if r["cluster_batch"][i] == name]


def net_force_error(molecule, p, r):
    return p["forces"][molecule].sum(0) - r["forces"][molecule].sum(0)


def cluster_virial(power):
    def value(p, r):
        terms = []
        for g in graphs_of(r):
            work = sum(
                r["positions"][m].mean(0) @ net_force_error(m, p, r) for m in molecules_of(g, r)
            )
            weight = r["weight"][g] * r["cluster_loss_weight"][g]
            terms.append(weight * work**2 / size(g, r) ** power)
        return np.mean(terms)

    return value


def molecular_forces(p, r):
    return np.mean(
        [
            r["weight"][g]
            * r["forces_weight"][g]
            * sum(net_force_error(m, p, r) ** 2 for m in molecules_of(g, r))
            / size(g, r)
            for g in graphs_of(r)
        ]
    )


def huber(a, b, delta):
    d = np.abs(a - b)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def energy_huber(p, r, delta=0.01):
    terms = []
    for g in graphs_of(r):
        scale = r["weight"][g] * r["energy_weight"][g] / size(g, r)
        terms.append(huber(scale * r["energy"][g], scale * p["energy"][g], delta))
    return np.mean(terms)


def forces_huber(p, r, delta=0.01):
    terms = []
    for i, g in enumerate(r["batch"]):
        weight = r["weight"][g] * r["forces_weight"][g]
        norm = np.linalg.norm(weight * r["forces"][i])
        factor = 1 if norm < 100 else 0.7 if norm < 200 else 0.4 if norm < 300 else 0.1
        terms.append(huber(weight * r["forces"][i], weight * p["forces"][i], factor * delta))
    return np.mean(terms)


def stress_huber(p, r, delta=0.01):
    weight = (r["weight"] * r["stress_weight"])[:, None, None]
    return np.mean(huber(weight * r["stress"], weight * p["stress"], delta))


def multipoles_huber(p, r, delta=0.01):
    weight = (r["weight"] * r["density_coefficients_weight"])[r["batch"], None]
    key = "density_coefficients"
    return np.mean(huber(weight * r[key], weight * p[key], delta))


def last_step(p, r):
    history = p["charges_history"]
    return np.mean(np.abs(history[..., -1] - history[..., -2]))


def growth(p, r):
    before, after = p["perturbing_vector"] ** 2, p["perturbed_density"] ** 2
    return np.array(
        [after[atoms_of(g, r)].sum(0) / before[atoms_of(g, r)].sum(0) - 1 for g in graphs_of(r)]
    )


POTENTIAL = "electrostatic_potentials_weight"
MULTIPOLES = "density_coefficients"
QUADRATIC = {
    "energy_per_atom": over_graphs("energy", "energy_weight", 1),
    "forces": over_atoms("forces", "forces", "forces_weight"),
    "stress": over_graphs("stress", "stress_weight", 0),
    "atomic_multipoles": over_atoms(MULTIPOLES, MULTIPOLES, f"{MULTIPOLES}_weight"),
    "total_charge": charge(0),
    "total_charge_per_atom": charge(1),
    "dipole": over_components("dipole", "dipole_weight", 0),
    "dipole_per_atom": over_components("dipole", "dipole_weight", 1),
    "polarizability": over_graphs("polarizability", "polarizability_weight", 1),
    "fermi_level": over_graphs("fermi_level", None, 0),
    "fermi_level_per_atom": over_graphs("fermi_level", None, 1),
    "esps": over_atoms("esps", "esps_dft", POTENTIAL),
    "field_features": over_atoms("feats_no_mu_model", "feats_no_mu_dft", POTENTIAL),
    "cluster_virial": cluster_virial(0),
    "cluster_virial_per_atom": cluster_virial(1),
    "molecular_forces": molecular_forces,
}
OTHER = {
    "energy_per_atom_huber": energy_huber,
    "forces_huber": forces_huber,
    "stress_huber": stress_huber,
    "atomic_multipoles_huber": multipoles_huber,
    "fermi_level_gradient": lambda p, r: np.mean(np.maximum(p["dq_dmu"], 0)),
    "final_terms_fixedpoint_scf_stability": last_step,
    "fixedpoint_scf_stability": lambda p, r: np.mean(np.log1p(np.exp(10 * growth(p, r))) / 10),
}
FORMULAS = QUADRATIC | OTHER


def as_numpy(tensors):
    return {key: value.detach().numpy().copy() for key, value in tensors.items()}


def central_differences(formula, p, r, key, step):
    gradient = np.zeros_like(p[key])
    for index in np.ndindex(gradient.shape):
        ends = []
        for sign in (1, -1):
            moved = p[key].copy()
            moved[index] += sign * step
            ends.append(formula({**p, key: moved}, r))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_a_formula_stands_for_each_term():
    assert set(FORMULAS) == set(losses.names())


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("seed", [0, 1])
def test_value_is_that_of_the_formula(name, seed, make_batch):
    pred, ref = make_batch(seed=seed)
    value = losses.evaluate(name, pred=pred, ref=ref).item()
    assert value == pytest.approx(FORMULAS[name](as_numpy(pred), as_numpy(ref)), rel=1e-12)


@pytest.mark.parametrize("name", QUADRATIC)
def test_gradient_is_that_of_the_formula(name, make_batch, gradients):
    """Central differences of a quadratic are exact whatever the step, so nothing is lost here."""
    pred, ref = make_batch((3, 1, 2))
    p, r = as_numpy(pred), as_numpy(ref)
    ours = gradients(losses.evaluate(name, pred=pred, ref=ref), pred)
    for key in losses.get(name).outputs:
        if key in ours:
            expected = central_differences(QUADRATIC[name], p, r, key, step=1.0)
            np.testing.assert_allclose(
                ours[key].numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max()
            )


@pytest.mark.parametrize("name", OTHER)
def test_gradient_of_the_other_terms(name, make_batch, gradients):
    pred, ref = make_batch((3, 1, 2))
    p, r = as_numpy(pred), as_numpy(ref)
    ours = gradients(losses.evaluate(name, pred=pred, ref=ref), pred)
    for key in losses.get(name).outputs:
        expected = central_differences(OTHER[name], p, r, key, step=1e-6)
        np.testing.assert_allclose(ours[key].numpy(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "options", "formula"),
    [
        ("energy_per_atom_huber", {"huber_delta": 0.5}, lambda p, r: energy_huber(p, r, 0.5)),
        ("forces_huber", {"huber_delta": 1}, lambda p, r: forces_huber(p, r, 1.0)),
        ("stress_huber", {"huber_delta": 0.5}, lambda p, r: stress_huber(p, r, 0.5)),
        ("atomic_multipoles_huber", {"huber_delta": 2}, lambda p, r: multipoles_huber(p, r, 2.0)),
        (
            "fixedpoint_scf_stability",
            {"smooth": False},
            lambda p, r: np.mean(np.maximum(growth(p, r), 0)),
        ),
        (
            "fixedpoint_scf_stability",
            {"beta": 2.0, "offset": 0.25},
            lambda p, r: np.mean(np.log1p(np.exp(2 * (growth(p, r) + 0.75))) / 2),
        ),
    ],
)
def test_options_act(name, options, formula, make_batch):
    pred, ref = make_batch()
    value = losses.evaluate(name, pred=pred, ref=ref, **options).item()
    assert value == pytest.approx(formula(as_numpy(pred), as_numpy(ref)), rel=1e-12)
    assert value != losses.evaluate(name, pred=pred, ref=ref).item()


def tiny():
    """Two graphs of one and two atoms, with errors that can be squared in the head.

    Configuration weights 1 and 1/2; every property weight 1 and 2.
    """
    d = torch.float64
    both = torch.tensor([1.0, 2.0], dtype=d)
    ref = {
        "batch": torch.tensor([0, 1, 1]),
        "ptr": torch.tensor([0, 1, 3]),
        "positions": torch.tensor([[1.0, 0, 0], [0, 3, 0], [0, 0, 4]], dtype=d),
        "cluster_batch": torch.tensor([0, 0, 1]),
        "weight": torch.tensor([1.0, 0.5], dtype=d),
        "dipole_weight": torch.tensor([[1.0, 0, 1], [2, 2, 2]], dtype=d),
        "energy": torch.zeros(2, dtype=d),
        "forces": torch.zeros(3, 3, dtype=d),
        "stress": torch.zeros(2, 3, 3, dtype=d),
        "density_coefficients": torch.zeros(3, 4, dtype=d),
        "total_charge": torch.tensor([1.0, 0], dtype=d),
        "dipole": torch.zeros(2, 3, dtype=d),
        "polarizability": torch.zeros(2, 3, 3, dtype=d),
        "fermi_level": torch.zeros(2, dtype=d),
    }
    for key in ("energy", "forces", "stress", MULTIPOLES, "polarizability", "cluster_loss"):
        ref[f"{key}_weight"] = both
    ref[POTENTIAL] = both
    forces = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 2]], dtype=d)
    multipoles = torch.tensor([[3.0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 2, 0]], dtype=d)
    pred = {
        "energy": torch.tensor([1.0, 4.0], dtype=d),
        "forces": forces,
        "stress": torch.ones(2, 3, 3, dtype=d) * torch.tensor([1.0, 2.0], dtype=d).view(2, 1, 1),
        "density_coefficients": multipoles,
        "dipole": torch.tensor([[1.0, 5, 2], [2, 0, 0]], dtype=d),
        "polarizability": torch.eye(3, dtype=d) * torch.tensor([1.0, 4.0], dtype=d).view(2, 1, 1),
        "fermi_level": torch.tensor([2.0, 4.0], dtype=d),
        "esps": torch.tensor([1.0, 2, 0], dtype=d),
        "esps_dft": torch.tensor([0.0, 0, 1], dtype=d),
        "feats_no_mu_model": torch.tensor([[1.0, 1], [2, 0], [0, 0]], dtype=d),
        "feats_no_mu_dft": torch.zeros(3, 2, dtype=d),
        "dq_dmu": torch.tensor([3.0, -5.0], dtype=d),
        "charges_history": torch.tensor([[9.0, 1, 2], [9, 2, 0], [9, 0, 0]], dtype=d),
        "perturbing_vector": torch.ones(3, 1, dtype=d),
        "perturbed_density": torch.tensor([[2.0], [3], [1]], dtype=d),
    }
    return pred, ref


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("energy_per_atom", {}, (1 + 2**2) / 2),
        ("forces", {}, (1 + 4 + 4) / 9),
        ("stress", {}, (9 * 1 + 9 * 4) / 18),
        ("atomic_multipoles", {}, ((9 + 1) + 1 + (1 + 4)) / 12),
        # charges: 3 where 1 is wanted, 2 where 0 is wanted
        ("total_charge", {}, (2**2 + 0.5 * 2**2) / 2),
        ("total_charge_per_atom", {}, (2**2 + 0.5 * 1**2) / 2),
        # the y component of the first dipole is masked and still counts in the mean
        ("dipole", {}, ((1 + 4) + 4) / 6),
        ("dipole_per_atom", {}, ((1 + 4) + 1) / 6),
        ("polarizability", {}, (3 * 1 + 3 * 2**2) / 18),
        ("fermi_level", {}, (4 + 0.5 * 16) / 2),
        ("fermi_level_per_atom", {}, (4 + 0.5 * 4) / 2),
        ("esps", {}, (1 + 4 + 1) / 3),
        ("field_features", {}, (1 + 2 + 0) / 3),
        # W = 1*1 for the first graph, 3*2 + 4*2 = 14 for the second
        ("cluster_virial", {}, (1 + 14**2) / 2),
        ("cluster_virial_per_atom", {}, (1 + 14**2 / 2) / 2),
        ("molecular_forces", {}, (1 + (4 + 4) / 2) / 6),
        # weight 1/2 * 2 = 1 everywhere, so errors 1 and 2: linear beyond delta = 1
        ("energy_per_atom_huber", {"huber_delta": 1.0}, (0.5 + 1.5) / 2),
        ("forces_huber", {"huber_delta": 1.0}, (0.5 + 1.5 + 1.5) / 9),
        ("stress_huber", {"huber_delta": 1.0}, (9 * 0.5 + 9 * 1.5) / 18),
        ("atomic_multipoles_huber", {"huber_delta": 2.0}, (4 + 0.5 + 0.5 + 0.5 + 2) / 12),
        ("fermi_level_gradient", {}, 3 / 2),
        ("final_terms_fixedpoint_scf_stability", {}, (1 + 2 + 0) / 3),
        # growth 4 and (9 + 1) / 2 = 5, minus the offset
        ("fixedpoint_scf_stability", {"smooth": False}, (3 + 4) / 2),
        ("fixedpoint_scf_stability", {}, (3 + np.log1p(np.exp(-30)) / 10 + 4) / 2),
    ],
)
def test_pinned_value(name, options, expected):
    pred, ref = tiny()
    value = losses.evaluate(name, pred=pred, ref=ref, **options).item()
    assert value == pytest.approx(expected, rel=1e-14)


def test_every_term_is_pinned():
    marks = next(m for m in test_pinned_value.pytestmark if m.name == "parametrize")
    assert {case[0] for case in marks.args[1]} == set(losses.names())


def test_delta_shrinks_where_forces_are_large():
    pred, ref = tiny()
    for norm, factor in [(99.0, 1.0), (100.0, 0.7), (200.0, 0.4), (299.0, 0.4), (300.0, 0.1)]:
        ref["forces"] = torch.tensor([[norm, 0, 0]] * 3, dtype=torch.float64)
        pred["forces"] = ref["forces"] + torch.tensor([0, 10.0, 0], dtype=torch.float64)
        delta = 0.01 * factor
        value = losses.evaluate("forces_huber", pred=pred, ref=ref).item()
        assert value == pytest.approx(delta * (10 - delta / 2) / 3, rel=1e-12)


def test_softplus_has_no_jump_where_it_turns_linear(make_batch):
    """The default threshold of torch's softplus would be wrong in the tenth digit here."""
    pred, ref = tiny()
    for ratio in (3.0, 3.5, 4.5, 5.5):
        pred["perturbed_density"] = torch.full((3, 1), ratio**0.5, dtype=torch.float64)
        value = losses.evaluate("fixedpoint_scf_stability", pred=pred, ref=ref).item()
        assert value == pytest.approx(np.log1p(np.exp(10 * (ratio - 1))) / 10, rel=1e-13)


def test_large_energies_keep_their_digits():
    """The Huber term takes the difference before it scales: total energies are large."""
    pred, ref = tiny()
    ref["energy"] = torch.tensor([-65536.0, -65536.0])
    ref["weight"] = torch.tensor([0.3, 0.3])
    ref["energy_weight"] = torch.ones(2)
    error = 2.0**-7  # the last digit of such an energy in float32
    pred["energy"] = ref["energy"] + torch.tensor([error, -error])
    value = losses.evaluate("energy_per_atom_huber", pred=pred, ref=ref).item()
    assert value == pytest.approx(((0.3 * error) ** 2 + (0.15 * error) ** 2) / 4, rel=1e-6)


def test_labels_beyond_l_max_are_cut_off(make_batch):
    pred, ref = make_batch()
    short = {**pred, "density_coefficients": pred["density_coefficients"].detach()[:, :1]}
    for name in ("atomic_multipoles", "atomic_multipoles_huber"):
        cut = {**ref, "density_coefficients": ref["density_coefficients"][:, :1]}
        assert losses.evaluate(name, pred=short, ref=ref) == losses.evaluate(
            name, pred=short, ref=cut
        )


def test_mask_per_component_of_the_polarizability(make_batch):
    pred, ref = make_batch()
    one = losses.evaluate("polarizability", pred=pred, ref=ref)
    each = ref["polarizability_weight"].view(-1, 1, 1).expand(-1, 3, 3)
    same = losses.evaluate("polarizability", pred=pred, ref={**ref, "polarizability_weight": each})
    torch.testing.assert_close(one, same, rtol=1e-14, atol=0)


def test_prepared_molecule_index_gives_the_same(make_batch):
    pred, ref = make_batch()
    prepared = {**ref, "molecule_index": losses.molecule_index(ref["batch"], ref["cluster_batch"])}
    del prepared["cluster_batch"]
    for name in ("cluster_virial", "cluster_virial_per_atom", "molecular_forces"):
        assert losses.evaluate(name, pred=pred, ref=prepared) == losses.evaluate(
            name, pred=pred, ref=ref
        )


def test_molecules_are_numbered_compactly():
    batch = torch.tensor([0, 0, 0, 1, 1])
    clusters = torch.tensor([7, 2, 7, 2, -1])
    index = losses.molecule_index(batch, clusters)
    assert index[0] == index[2]
    assert sorted(index.unique().tolist()) == [0, 1, 2, 3]
    # MACE stores data per atom as [N, 1] and in the default dtype.
    assert torch.equal(losses.molecule_index(batch, clusters.double().unsqueeze(1)), index)


def test_weights_that_are_absent_altogether_count_as_one(make_batch):
    pred, ref = make_batch()
    bare = {key: value for key, value in ref.items() if not key.endswith("weight")}
    ones = {k: torch.ones_like(v) if k.endswith("weight") else v for k, v in ref.items()}
    for name in losses.names():
        torch.testing.assert_close(
            losses.evaluate(name, pred=pred, ref=bare),
            losses.evaluate(name, pred=pred, ref=ones),
            rtol=1e-15,
            atol=0,
        )
