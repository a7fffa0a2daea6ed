"""The labels of periodic cells: derivatives, symmetries, and the error of a bad geometry."""

import numpy as np
import pytest

from sweep.datagen.gfn1 import energy_and_forces, labels
from sweep.datagen.water_boxes import n_waters, sample
from sweep.datagen.xtb import NoResultError


@pytest.fixture(scope="module")
def box():
    """A shipped configuration of three waters, made again."""
    made = sample(n_waters().index(3))
    return made.numbers, made.positions, made.cell, made.labels


def test_forces_are_minus_the_gradient_of_the_energy(box):
    numbers, positions, cell, made = box
    step = 1e-3
    for atom, axis in ((0, 0), (1, 1), (4, 2), (8, 0)):
        shift = np.zeros_like(positions)
        shift[atom, axis] = step
        plus, minus = (
            energy_and_forces(numbers, positions + sign * shift, cell)[0] for sign in (1, -1)
        )
        assert made.forces[atom, axis] == pytest.approx((minus - plus) / (2 * step), abs=3e-4)


def test_stress_is_the_derivative_of_the_energy_by_strain(box):
    numbers, positions, cell, made = box
    step, volume = 1e-3, np.linalg.det(cell)
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            energies.append(energy_and_forces(numbers, positions @ strain, cell @ strain)[0])
        expected = (energies[0] - energies[1]) / (2 * step * volume)
        assert made.stress[i, j] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(made.stress, made.stress.T)


def test_labels_do_not_depend_on_where_the_cell_is_cut(box):
    numbers, positions, cell, made = box
    moved = positions + np.array([0.7, -1.3, 2.1])
    moved -= np.floor(moved @ np.linalg.inv(cell)) @ cell
    again = labels(numbers, moved, cell)
    assert again.energy == pytest.approx(made.energy, abs=1e-5)
    np.testing.assert_allclose(again.forces, made.forces, atol=1e-4)
    np.testing.assert_allclose(again.stress, made.stress, atol=1e-5)
    np.testing.assert_allclose(again.multipoles, made.multipoles, atol=1e-5)


def test_labels_turn_with_the_cell(box):
    numbers, positions, cell, made = box
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = labels(numbers, positions @ turn.T, cell @ turn.T)
    np.testing.assert_allclose(turned.forces, made.forces @ turn.T, atol=1e-5)
    np.testing.assert_allclose(turned.stress, turn @ made.stress @ turn.T, atol=1e-6)
    cartesian = made.multipoles[:, [3, 1, 2]] @ turn.T
    np.testing.assert_allclose(turned.multipoles[:, [3, 1, 2]], cartesian, atol=1e-6)


def test_a_geometry_without_result():
    with pytest.raises(NoResultError, match="GFN1-xTB failed on 2 atoms"):
        energy_and_forces(np.array([8, 8]), np.zeros((2, 3)), 5.0 * np.eye(3))
