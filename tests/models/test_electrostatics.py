"""The pair formula and the k-space sum against closed results, each other and graph-longrange."""

from __future__ import annotations

import math

import ase
import ase.build
import ase.units
import numpy as np
import pytest
import torch
from torch import Tensor

from sweep.libraries import GTOElectrostaticEnergy, GTOElectrostaticFeatures, quiet
from sweep.models.electrostatics.coulomb import (
    COULOMB_CONSTANT as K,
)
from sweep.models.electrostatics.coulomb import (
    MoleculeElectrostatics,
    PeriodicElectrostatics,
)
from sweep.models.electrostatics.molecules import self_energy

WIDTH = 0.9


@pytest.fixture(autouse=True)
def _double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def molecule(positions) -> dict[str, Tensor]:
    n = len(positions)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return {
        "positions": torch.tensor(np.array(positions), dtype=torch.float64),
        "pair_index": torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T,
        "batch": torch.zeros(n, dtype=torch.int64),
        "ptr": torch.tensor([0, n]),
    }


def cell(positions, lengths) -> dict[str, Tensor]:
    return {
        **molecule(positions),
        "cell": torch.diag(torch.tensor(lengths, dtype=torch.float64)),
        "pbc": torch.ones(1, 3, dtype=torch.bool),
    }


def multipoles(*rows) -> Tensor:
    """Rows of (charge, dipole x, y, z) in the model's order Q, d_y, d_z, d_x."""
    return torch.tensor(rows, dtype=torch.float64)[:, [0, 2, 3, 1]]


def energy(solver, batch, coefficients) -> Tensor:
    return solver(batch["positions"], batch).energy(coefficients)


def potential(solver, batch, coefficients) -> Tensor:
    return solver(batch["positions"], batch).potential(coefficients)


WATER = ase.build.molecule("H2O")
WATERS = np.concatenate([WATER.positions, WATER.positions + np.array([2.7, 0.4, -0.3])])
RANDOM = torch.tensor(np.random.default_rng(1).normal(scale=0.4, size=(6, 4)))


def test_coulomb_constant():
    expected = ase.units._e / (4 * math.pi * ase.units._eps0) * 1e10
    assert pytest.approx(expected, rel=1e-9) == K


class TestPairFormula:
    solver = MoleculeElectrostatics(1, WIDTH)

    def test_far_apart_is_point_multipoles(self):
        r = np.array([20.0, -30.0, 25.0])
        q1, d1, q2, d2 = 0.7, np.array([0.3, -0.2, 0.5]), -0.4, np.array([-0.1, 0.6, 0.2])
        distance = np.linalg.norm(r)
        n = r / distance
        batch, coefficients = molecule([[0, 0, 0], r]), multipoles((q1, *d1), (q2, *d2))
        expected = K * (
            q1 * q2 / distance
            + (q2 * d1 @ n - q1 * d2 @ n) / distance**2
            + (d1 @ d2 - 3 * (d1 @ n) * (d2 @ n)) / distance**3
        )
        assert energy(self.solver, batch, coefficients).item() == pytest.approx(expected, rel=1e-10)
        own = K * q2 * math.sqrt(2 / math.pi) / WIDTH
        expected = own + K * (q1 / distance + d1 @ n / distance**2)
        value = potential(self.solver, batch, coefficients)[1].item()
        assert value == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("r", [0.4, 1.0, 2.5])
    def test_charges_interact_by_the_error_function(self, r):
        batch, charges = molecule([[0, 0, 0], [0, 0, r]]), torch.tensor([[0.7], [-0.4]])
        solver = MoleculeElectrostatics(0, WIDTH)
        expected = K * 0.7 * -0.4 * math.erf(r / (2 * WIDTH)) / r
        assert energy(solver, batch, charges).item() == pytest.approx(expected, rel=1e-12)
        own = math.sqrt(2 / math.pi) / WIDTH
        expected = K * (0.7 * own - 0.4 * math.erf(r / (math.sqrt(2) * WIDTH)) / r)
        assert potential(solver, batch, charges)[0].item() == pytest.approx(expected, rel=1e-12)

    def test_a_dipole_is_the_limit_of_two_opposite_charges(self):
        h, coefficients = 1e-3, RANDOM[:3]
        positions, charges = [], []
        for row, centre in zip(coefficients.tolist(), WATER.positions, strict=True):
            positions.append(centre)
            charges.append(row[0])
            for axis, moment in zip((1, 2, 0), row[1:], strict=True):
                for sign in (1, -1):
                    positions.append(centre + sign * h * np.eye(3)[axis])
                    charges.append(sign * moment / (2 * h))
        batch = molecule(positions)
        # interactions within one atom are its self-interaction, which the energy leaves out
        between = batch["pair_index"][0] // 7 != batch["pair_index"][1] // 7
        batch["pair_index"] = batch["pair_index"][:, between]
        solver = MoleculeElectrostatics(0, WIDTH)
        expected = energy(solver, batch, torch.tensor(charges)[:, None])
        value = energy(self.solver, molecule(WATER.positions), coefficients)
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-5)

    def test_potential_is_the_derivative_of_the_energy_by_the_charge(self):
        # Densities of width σ/√2 act on each other as one of width σ acts on a point.
        coefficients = RANDOM.clone().requires_grad_(True)
        batch = molecule(WATERS)
        total = energy(MoleculeElectrostatics(1, WIDTH / math.sqrt(2)), batch, coefficients)
        (gradient,) = torch.autograd.grad(total.sum(), coefficients)
        own = K * RANDOM[:, 0] * math.sqrt(2 / math.pi) / WIDTH
        torch.testing.assert_close(
            potential(self.solver, batch, RANDOM), gradient[:, 0] + own, rtol=1e-12, atol=1e-12
        )

    def test_agrees_with_the_real_space_sum_of_graph_longrange(self):
        # The library replaces dipoles by charges 0.02 Å apart (energy) and 0.1 Å apart (potential).
        kwargs = {
            "k_vectors": torch.empty(0, 3),
            "k_norm2": torch.empty(0),
            "k_vector_batch": torch.empty(0, dtype=torch.int64),
            "k0_mask": torch.empty(0),
            "node_positions": torch.tensor(WATERS),
            "batch": torch.zeros(6, dtype=torch.int64),
            "volume": torch.ones(1),
            "pbc": torch.zeros(1, 3, dtype=torch.bool),
        }
        with quiet():
            library = GTOElectrostaticEnergy(1, WIDTH, 1.0, pbc_handling="realspace")
            features = GTOElectrostaticFeatures(
                1, WIDTH, 0, [1e-2], True, 1.0,
                integral_normalization="multipoles", pbc_handling="realspace",
            )  # fmt: skip
        coefficients, batch = 0.1 * RANDOM, molecule(WATERS)
        expected = library(source_feats=coefficients, **kwargs)
        torch.testing.assert_close(
            energy(self.solver, batch, coefficients), expected, rtol=0, atol=3e-4
        )
        expected = features(source_feats=coefficients, **kwargs)[:, 0]
        torch.testing.assert_close(
            potential(self.solver, batch, coefficients), expected, rtol=0, atol=2e-2
        )

    def test_single_precision_is_accurate_at_bond_lengths(self):
        batch = molecule(WATERS)
        single = {**batch, "positions": batch["positions"].float()}
        for width in (0.5, 1.5):
            solver = MoleculeElectrostatics(1, width)
            torch.testing.assert_close(
                energy(solver, single, RANDOM.float()).double(),
                energy(solver, batch, RANDOM),
                rtol=0,
                atol=1e-4,
            )

    def test_no_pairs(self):
        batch = molecule([[0.0, 0.0, 0.0]])
        coefficients = multipoles((0.5, 0.1, 0.2, 0.3))
        assert energy(self.solver, batch, coefficients).tolist() == [0.0]
        expected = K * 0.5 * math.sqrt(2 / math.pi) / WIDTH
        assert potential(self.solver, batch, coefficients).item() == pytest.approx(expected)


@pytest.fixture(scope="module")
def periodic() -> PeriodicElectrostatics:
    with quiet():
        return PeriodicElectrostatics(1, WIDTH, 1.5).double()


class TestPeriodic:
    def test_madelung_constant_of_rock_salt(self):
        a = 5.64
        crystal = ase.build.bulk("NaCl", "rocksalt", a=a, cubic=True)
        charges = np.where(crystal.numbers == 11, 1.0, -1.0)[:, None]
        # narrow enough that neighbours 2.82 Å apart do not overlap
        with quiet():
            solver = PeriodicElectrostatics(0, 0.3, 2.0).double()
        value = energy(solver, cell(crystal.positions, [a] * 3), torch.tensor(charges))
        expected = -1.7475645946331822 * K / (a / 2) * 4
        assert value.item() == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize("length", [16.0, 24.0])
    def test_large_cell_is_the_molecule(self, periodic, length):
        """What is left is the interaction with the images, -2πKμ²/3V and the next order L⁻⁵."""
        positions, coefficients = WATERS, 0.3 * RANDOM
        coefficients[:, 0] -= coefficients[:, 0].mean()  # a charged cell would differ by K Q²/L
        dipole = (coefficients[:, :1] * torch.tensor(positions)).sum(0)
        dipole = dipole + coefficients[:, [3, 1, 2]].sum(0)
        images = -2 * math.pi * K / (3 * length**3) * dipole.square().sum()
        alone = energy(TestPairFormula.solver, molecule(positions), coefficients)
        in_cell = energy(periodic, cell(positions, [length] * 3), coefficients)
        assert abs(images) < 0.02
        torch.testing.assert_close(
            in_cell - images, alone, rtol=0, atol=2e-4 * (16.0 / length) ** 5
        )

    def test_potential_is_the_derivative_of_the_energy_by_the_charge(self):
        with quiet():
            narrow = PeriodicElectrostatics(1, WIDTH / math.sqrt(2), 2.0).double()
            solver = PeriodicElectrostatics(1, WIDTH, 2.0).double()
        coefficients = RANDOM.clone().requires_grad_(True)
        batch = cell(WATERS, [6.0, 7.0, 8.0])
        total = energy(narrow, batch, coefficients)
        (gradient,) = torch.autograd.grad(total.sum(), coefficients)
        own = K * RANDOM[:, 0] * math.sqrt(2 / math.pi) / WIDTH
        torch.testing.assert_close(
            potential(solver, batch, RANDOM), gradient[:, 0] + own, rtol=0, atol=1e-6
        )


class TestSelfInteraction:
    def test_it_is_half_the_energy_of_a_pair_at_no_distance(self):
        solver = MoleculeElectrostatics(1, WIDTH)
        for row in multipoles((0.7, 0, 0, 0), (0, 0.3, -0.2, 0.5), (-0.4, 0.1, 0.6, -0.3)):
            pair = molecule([[0, 0, 0], [1e-3, 2e-3, -1e-3]])
            twice = energy(solver, pair, torch.stack([row, row]))
            torch.testing.assert_close(
                self_energy(row[None], WIDTH), 0.5 * twice, rtol=1e-5, atol=1e-6
            )

    @pytest.mark.parametrize("max_l", [0, 1])
    def test_it_is_that_of_graph_longrange(self, max_l):
        batch, coefficients = cell(WATERS, (7.0, 8.0, 9.0)), RANDOM[:, : (max_l + 1) ** 2]
        with quiet():
            solver = PeriodicElectrostatics(max_l, WIDTH, 1.6)
            with_it = PeriodicElectrostatics(max_l, WIDTH, 1.6)
            with_it.density_energy = GTOElectrostaticEnergy(
                density_max_l=max_l, density_smearing_width=WIDTH,
                kspace_cutoff=float(solver.kspace_cutoff), include_self_interaction=True,
                pbc_handling="pbc",
            )  # fmt: skip
        difference = energy(with_it, batch, coefficients) - energy(solver, batch, coefficients)
        expected = self_energy(coefficients, WIDTH).sum()
        assert difference.item() == pytest.approx(expected.item(), rel=1e-9)
