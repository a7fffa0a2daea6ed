import numpy as np
import pytest
from ase.build import molecule

from sweep.datagen.gfn2 import energy_and_forces, labels
from sweep.datagen.xtb import NoResultError, singlepoint
from sweep.errors import InputError

CHARGES = {"H2O": 0, "OH": -1, "NH4": 1}


def geometry(name):
    """A distorted molecule away from the origin."""
    rng = np.random.default_rng(1)
    if name == "NH4":
        atoms = molecule("CH4")
        atoms.symbols[0] = "N"
    else:
        atoms = molecule(name)
    return atoms.numbers, atoms.positions + rng.normal(scale=0.05, size=(len(atoms), 3)) + 0.7


@pytest.mark.parametrize("name", CHARGES)
def test_forces_are_minus_the_gradient_of_the_energy(name):
    numbers, positions = geometry(name)
    forces = labels(numbers, positions, CHARGES[name]).forces
    step = 1e-3
    for atom in range(len(numbers)):
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[atom, axis] = step
            plus, minus = (
                energy_and_forces(numbers, positions + sign * shift, CHARGES[name])[0]
                for sign in (1, -1)
            )
            assert forces[atom, axis] == pytest.approx((minus - plus) / (2 * step), abs=1e-4)


@pytest.mark.parametrize("name", CHARGES)
def test_the_dipole_is_minus_the_derivative_of_the_energy_by_the_field(name):
    numbers, positions = geometry(name)
    dipole = labels(numbers, positions, CHARGES[name]).dipole
    step = 0.05  # V/Å
    for axis in range(3):
        field = np.eye(3)[axis] * step
        plus, minus = (
            energy_and_forces(numbers, positions, CHARGES[name], sign * field)[0]
            for sign in (1, -1)
        )
        assert dipole[axis] == pytest.approx((minus - plus) / (2 * step), abs=2e-4)


@pytest.mark.parametrize("name", CHARGES)
def test_a_field_pulls_on_the_net_charge_along_itself(name):
    numbers, positions = geometry(name)
    field = np.array([0.05, -0.02, 0.03])
    _, forces = energy_and_forces(numbers, positions, CHARGES[name], field)
    np.testing.assert_allclose(forces.sum(axis=0), CHARGES[name] * field, atol=1e-6)


@pytest.mark.parametrize("name", CHARGES)
def test_the_polarizability_is_minus_the_second_derivative_of_the_energy(name):
    numbers, positions = geometry(name)
    made = labels(numbers, positions, CHARGES[name])
    step = 0.3  # V/Å
    for axis in range(3):
        field = np.eye(3)[axis] * step
        plus, minus = (
            energy_and_forces(numbers, positions, CHARGES[name], sign * field)[0]
            for sign in (1, -1)
        )
        second = (plus - 2 * made.energy + minus) / step**2
        assert made.polarizability[axis, axis] == pytest.approx(-second, rel=0.05, abs=1e-4)
    assert (np.linalg.eigvalsh(made.polarizability) > 0).all()


@pytest.mark.parametrize("name", CHARGES)
def test_atomic_multipoles_make_up_charge_and_dipole(name):
    numbers, positions = geometry(name)
    made = labels(numbers, positions, CHARGES[name])
    charges, dipoles = made.multipoles[:, 0], made.multipoles[:, [3, 1, 2]]
    assert charges.sum() == pytest.approx(CHARGES[name], abs=1e-9)
    np.testing.assert_allclose(charges @ positions + dipoles.sum(axis=0), made.dipole, atol=1e-10)


def test_multipoles_turn_with_the_molecule():
    numbers, positions = geometry("H2O")
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    before, after = labels(numbers, positions, 0), labels(numbers, positions @ turn.T, 0)
    cartesian = before.multipoles[:, [3, 1, 2]] @ turn.T
    np.testing.assert_allclose(after.multipoles[:, [3, 1, 2]], cartesian, atol=1e-7)
    np.testing.assert_allclose(after.multipoles[:, 0], before.multipoles[:, 0], atol=1e-7)
    rotated = turn @ before.polarizability @ turn.T
    np.testing.assert_allclose(after.polarizability, rotated, atol=1e-6)


def test_the_fermi_level_follows_the_charge():
    levels = {charge: [] for charge in (-1, 0, 1)}
    for name, charge in CHARGES.items():
        levels[charge].append(labels(*geometry(name), charge).fermi_level)
    assert levels[1] < levels[0] < levels[-1]


def test_a_geometry_without_result():
    with pytest.raises(NoResultError, match="GFN2-xTB failed on 2 atoms: Too close"):
        energy_and_forces(np.array([8, 8]), np.zeros((2, 3)), 0)


def test_an_old_tblite_is_refused(monkeypatch):
    monkeypatch.setattr("sweep.datagen.xtb._tblite", lambda: (0, 7, 0))
    with pytest.raises(InputError, match=r"GFN2-xTB labels need tblite 0\.8 or later; got 0\.7\.0"):
        singlepoint("GFN2-xTB", [1, 1], np.array([[0.0, 0, 0], [0, 0, 0.74]]), 0)
