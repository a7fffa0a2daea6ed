"""Boundary conditions: which configurations each choice takes, and slabs and boxes in the limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sweep.data.labels import WEIGHTS
from sweep.data.read.configurations import Configuration
from sweep.errors import InputError
from sweep.libraries import GTOElectrostaticEnergy, quiet
from sweep.models import LocalChargesConfig
from sweep.models.electrostatics.boundaries import PBC_HANDLING, check_boundaries
from sweep.models.electrostatics.coulomb import (
    Electrostatics,
    MoleculeElectrostatics,
    PeriodicElectrostatics,
)

WIDTH = 0.9
RNG = np.random.default_rng(3)
POSITIONS = RNG.uniform(0, 4, size=(6, 3))
CHARGED = torch.tensor(RNG.normal(scale=0.4, size=(6, 4)))
NEUTRAL = CHARGED - torch.tensor([1.0, 0, 0, 0]) * CHARGED[:, :1].mean()

KINDS = {"molecule": "FFF", "slab": "TTF", "cell": "TTT", "wire": "TFF"}
TAKES = {
    "realspace": {"molecule"},
    "pbc": {"slab", "cell"},
    "slab": {"slab", "cell"},
    "molecule_in_box": {"molecule", "cell"},
    "mixed_periodic": {"molecule", "slab", "cell"},
    "auto": {"molecule", "slab", "cell"},
}


def configuration(pbc: str, cell=None, dipole_weight=(0, 0, 0)) -> Configuration:
    weights = {key: np.zeros(weight.shape) for key, weight in WEIGHTS.items()}
    weights["dipole_weight"] = np.array(dipole_weight, dtype=float)
    return Configuration(
        atomic_numbers=np.array([1]),
        positions=np.zeros((1, 3)),
        cell=np.zeros((3, 3)) if cell is None else np.array(cell, dtype=float),
        pbc=np.array([flag == "T" for flag in pbc]),
        labels={},
        weights=weights,
        file="some.xyz",
        index=4,
    )


class TestChecks:
    @pytest.mark.parametrize("handling", PBC_HANDLING)
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_a_choice_takes(self, handling, kind):
        one = configuration(KINDS[kind], 20 * np.eye(3))
        if kind in TAKES[handling]:
            check_boundaries(handling, one)
            return
        with pytest.raises(
            InputError, match=rf"^some\.xyz: configuration 4: .*'{handling}' takes"
        ) as error:
            check_boundaries(handling, one)
        assert ("pbc_handling=auto" in str(error.value)) is (kind in TAKES["auto"])

    @pytest.mark.parametrize(
        ("handling", "pbc", "cell", "message"),
        [
            ("mixed_periodic", "FFF", None, "needs a cell of three vectors"),
            ("molecule_in_box", "FFF", None, "needs a cell of three vectors"),
            ("auto", "TTF", np.diag([5, 5, 0]), "with vacuum along those that are not periodic"),
            ("molecule_in_box", "TTT", np.diag([20, 20, 21]), "cubic .* 20, 20, 21 Å long"),
            ("mixed_periodic", "FFF", [[9, 0, 0], [1, 9, 0], [0, 0, 9]], "needs a cubic cell"),
        ],
    )
    def test_cells_that_do_not_do(self, handling, pbc, cell, message):
        with pytest.raises(InputError, match=message) as error:
            check_boundaries(handling, configuration(pbc, cell))
        assert str(error.value).startswith("some.xyz: configuration 4: pbc=")
        assert ("pbc_handling=auto" in str(error.value)) is (pbc == "FFF")  # where it would help
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("handling", "pbc", "weight", "advice"),
        [
            ("auto", "TTT", (1, 1, 1), "0 0 0"),
            ("auto", "TTT", (0, 0, 1), "0 0 0"),
            ("auto", "TTF", (1, 1, 1), "0 0 1"),
            ("slab", "TTT", (1, 0, 0), "0 0 1"),
            ("pbc", "TTF", (1, 0, 0), "0 0 1"),
        ],
    )
    def test_dipoles_without_meaning(self, handling, pbc, weight, advice):
        message = (
            rf"^some\.xyz: configuration 4: label 'dipole' .*config_dipole_weight=\"{advice}\""
        )
        with pytest.raises(InputError, match=message):
            check_boundaries(handling, configuration(pbc, np.diag([9, 9, 30]), weight))

    @pytest.mark.parametrize(
        ("handling", "pbc", "weight"),
        [
            ("auto", "FFF", (1, 1, 1)),
            ("auto", "TTF", (0, 0, 1)),
            ("auto", "TTT", (0, 0, 0)),
            ("slab", "TTT", (0, 0, 1)),
            ("molecule_in_box", "TTT", (1, 1, 1)),
        ],
    )
    def test_dipoles_with_a_meaning(self, handling, pbc, weight):
        check_boundaries(handling, configuration(pbc, 20 * np.eye(3), weight))

    def test_an_unknown_choice(self):
        with pytest.raises(InputError, match=r"pbc_handling: got 'slabs' \(did you mean 'slab'"):
            LocalChargesConfig(pbc_handling="slabs").check()


def batch_of(*graphs: tuple[np.ndarray, np.ndarray, str]) -> dict[str, Tensor]:
    """A batch of (positions, cell, flags)."""
    sizes = [len(positions) for positions, _, _ in graphs]
    index = np.repeat(np.arange(len(graphs)), sizes)
    same = (index[:, None] == index[None]) & ~np.eye(len(index), dtype=bool)
    return {
        "positions": torch.tensor(np.concatenate([positions for positions, _, _ in graphs])),
        "cell": torch.tensor(np.concatenate([cell for _, cell, _ in graphs])),
        "pbc": torch.tensor([[flag == "T" for flag in pbc] for _, _, pbc in graphs]),
        "batch": torch.tensor(index),
        "ptr": torch.tensor(np.cumsum([0, *sizes])),
        "pair_index": torch.tensor(np.argwhere(same).T),
    }


def cells(handling: str) -> PeriodicElectrostatics:
    torch.set_default_dtype(torch.float64)
    with quiet():
        solver = PeriodicElectrostatics(1, WIDTH, 2.0, handling)
    torch.set_default_dtype(torch.float32)
    return solver


@pytest.fixture(scope="module")
def auto() -> PeriodicElectrostatics:
    return cells("auto")


def solve(solver, batch, multipoles) -> tuple[Tensor, Tensor]:
    interactions = solver(batch["positions"], batch)
    return interactions.energy(multipoles), interactions.potential(multipoles)


def skew(height: float) -> np.ndarray:
    return np.array([[5.0, 0.0, 0.0], [0.7, 6.0, 0.0], [0.0, 0.0, height]])


@pytest.mark.parametrize("multipoles", [NEUTRAL, CHARGED], ids=["neutral", "charged"])
class TestSlab:
    def test_vacuum_does_not_matter(self, auto, multipoles):
        energy, potential = solve(auto, batch_of((POSITIONS, skew(18.0), "TTF")), multipoles)
        for height in (26.0, 40.0):
            more, potentials = solve(auto, batch_of((POSITIONS, skew(height), "TTF")), multipoles)
            torch.testing.assert_close(more, energy, rtol=0, atol=1e-6)
            torch.testing.assert_close(potentials, potential, rtol=0, atol=1e-6)

    def test_a_leaning_third_vector_does_not_matter(self, auto, multipoles):
        leaning = skew(30.0)
        leaning[2] += 0.6 * leaning[0]
        expected = solve(auto, batch_of((POSITIONS, skew(30.0), "TTF")), multipoles)
        found = solve(auto, batch_of((POSITIONS, leaning, "TTF")), multipoles)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)

    def test_moved_and_wrapped(self, auto, multipoles):
        cell = skew(25.0)
        moved = POSITIONS + np.array([0.3, -1.0, 22.7])
        moved -= np.floor(moved @ np.linalg.inv(cell)) @ cell
        assert np.ptp(moved[:, 2]) > 20
        expected = solve(auto, batch_of((POSITIONS, cell, "TTF")), multipoles)
        found = solve(auto, batch_of((moved, cell, "TTF")), multipoles)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)

    def test_any_direction_may_be_the_open_one(self, auto, multipoles):
        turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # x -> y -> z -> x
        cell = (skew(25.0) @ turn.T)[[2, 0, 1]]
        turned = multipoles.clone()
        cartesian = multipoles[:, [3, 1, 2]] @ torch.tensor(turn).T
        turned[:, [3, 1, 2]] = cartesian
        expected = solve(auto, batch_of((POSITIONS, skew(25.0), "TTF")), multipoles)
        found = solve(auto, batch_of((POSITIONS @ turn.T, cell, "FTT")), turned)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)

    def test_potential_in_the_vacuum_is_that_of_a_dipole_layer(self, auto, multipoles):
        """A test charge far above and below sees ±2πK M/A - 2πK Q |z|/A."""
        cell, probes = skew(60.0), np.array([[1.0, 2.0, 15.0], [1.0, 2.0, -15.0]])
        positions = np.concatenate([POSITIONS - POSITIONS.mean(axis=0), probes])
        with_probes = torch.cat([multipoles, torch.zeros(2, 4, dtype=torch.float64)])
        _, potential = solve(auto, batch_of((positions, cell, "TTF")), with_probes)
        height = torch.tensor(positions[:6, 2])
        charge, moment = multipoles[:, 0].sum(), (multipoles[:, 0] * height).sum()
        moment = moment + multipoles[:, 2].sum()
        per_area = 2 * np.pi * 14.399645478 / 30.0
        expected = per_area * torch.stack([moment - 15 * charge, -moment - 15 * charge])
        torch.testing.assert_close(potential[6:], expected, rtol=0, atol=1e-5)

    def test_potential_is_the_derivative_of_the_energy_by_the_charge(self, multipoles):
        """Densities of width σ/√2 act on each other as one of width σ acts on a point."""
        torch.set_default_dtype(torch.float64)
        with quiet():
            narrow = PeriodicElectrostatics(1, WIDTH / np.sqrt(2), 2.5, "auto")
        torch.set_default_dtype(torch.float32)
        batch = batch_of((POSITIONS, skew(20.0), "TTF"))
        leaf = multipoles.clone().requires_grad_(True)
        interactions = narrow(batch["positions"], batch)
        (gradient,) = torch.autograd.grad(interactions.energy(leaf).sum(), leaf)
        own = 14.399645478 * multipoles[:, 0] * np.sqrt(2 / np.pi) / WIDTH
        _, potential = solve(cells("auto"), batch, multipoles)
        torch.testing.assert_close(potential, gradient[:, 0] + own, rtol=0, atol=1e-5)


def test_a_neutral_slab_is_that_of_graph_longrange(auto):
    batch = batch_of((POSITIONS, skew(18.0), "TTF"))
    torch.set_default_dtype(torch.float64)
    with quiet():
        library = GTOElectrostaticEnergy(1, WIDTH, float(auto.kspace_cutoff), pbc_handling="slab")
    torch.set_default_dtype(torch.float32)
    geometry = {**auto(batch["positions"], batch).geometry, "pbc": batch["pbc"]}
    expected = library(source_feats=NEUTRAL, **geometry)
    torch.testing.assert_close(solve(auto, batch, NEUTRAL)[0], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("multipoles", [NEUTRAL, CHARGED], ids=["neutral", "charged"])
@pytest.mark.parametrize("handling", ["molecule_in_box", "mixed_periodic"])
def test_a_molecule_in_a_box_is_the_molecule(handling, multipoles):
    """What is left falls as L⁻⁵, to below 5e-4 eV and 2e-3 V in 26 Å, wherever it lies."""
    solver = cells(handling)
    alone = solve(
        MoleculeElectrostatics(1, WIDTH), batch_of((POSITIONS, np.eye(3), "FFF")), multipoles
    )
    errors = []
    for length in (13.0, 26.0):
        moved = (POSITIONS + 11.0) % length  # through the sides of the smaller box
        batch = batch_of((moved, length * np.eye(3), "FFF"))
        energy, potential = solve(solver, batch, multipoles)
        errors.append(abs(energy - alone[0]).item())
    assert errors[1] < 5e-4
    assert errors[1] < errors[0] / 16
    torch.testing.assert_close(potential, alone[1], rtol=0, atol=2e-3)


def test_a_batch_of_slabs_and_cells_is_its_graphs_one_by_one(auto):
    graphs = [
        (POSITIONS, skew(18.0), "TTF"),
        (POSITIONS[:4] + 0.5, 7.0 * np.eye(3), "TTT"),
        (POSITIONS[::-1] + 1.0, skew(22.0), "TTF"),
    ]
    multipoles = [CHARGED, NEUTRAL[:4], CHARGED * 0.5]
    energy, potential = solve(auto, batch_of(*graphs), torch.cat(multipoles))
    alone = [solve(auto, batch_of(g), m) for g, m in zip(graphs, multipoles, strict=True)]
    torch.testing.assert_close(energy, torch.cat([e for e, _ in alone]), rtol=0, atol=1e-9)
    torch.testing.assert_close(potential, torch.cat([v for _, v in alone]), rtol=0, atol=1e-9)


def test_forced_choices_go_against_the_flags(auto):
    slab = batch_of((POSITIONS, skew(18.0), "TTF"))
    flagged = batch_of((POSITIONS, skew(18.0), "TTT"))
    for handling, batch, expected in (("slab", flagged, slab), ("pbc", slab, flagged)):
        found = solve(cells(handling), batch, CHARGED)[0]
        assert found == solve(auto, expected, CHARGED)[0]


def test_molecules_take_the_pair_formula_unless_boxed():
    batch = batch_of((POSITIONS, 20 * np.eye(3), "FFF"))
    for handling in PBC_HANDLING:
        with quiet():
            solver = Electrostatics(1, WIDTH, 1.5, handling)
        interactions = solver(batch["positions"], batch, periodic=False)
        in_space = type(interactions).__name__ == "PairInteractions"
        assert in_space is (handling in ("auto", "realspace"))
