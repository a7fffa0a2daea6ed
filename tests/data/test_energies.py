import ase
import numpy as np
import pytest

from sweep.data.energies import atomic_energies, interaction_energies, is_isolated_atom
from sweep.data.read.configurations import read_configurations
from sweep.errors import InputError

INFO = {"energy": "REF_energy"}


@pytest.fixture
def train(files):
    """H2, H2O and O2 with energies that are exactly -2 per H and -30 per O."""
    frames = []
    for formula in ("H2", "H2O", "O2"):
        atoms = ase.Atoms(formula)
        atoms.positions[:, 0] = range(len(atoms))
        counts = [formula.count("H2") * 2, {"O2": 2, "H2O": 1}.get(formula, 0)]
        atoms.info["REF_energy"] = float(np.dot(counts, [-2.0, -30.0]))
        frames.append(atoms)
    return read_configurations(files.write(*frames), INFO, {})


def test_average_is_least_squares_over_the_labelled_configurations(train):
    assert atomic_energies("average", train) == pytest.approx({1: -2.0, 8: -30.0})
    assert interaction_energies(train, {1: -2.0, 8: -30.0}) == pytest.approx([0, 0, 0], abs=1e-12)


def test_average_equals_that_of_mace(train):
    from sweep.libraries import quiet

    with quiet():
        from mace.data.utils import Configuration, compute_average_E0s
        from mace.tools import AtomicNumberTable

    energies = [-3.0, -40.0, -50.0]
    mace = [
        Configuration(c.atomic_numbers, c.positions, {"energy": e}, {})
        for c, e in zip(train, energies, strict=True)
    ]
    for configuration, energy in zip(train, energies, strict=True):
        configuration.labels["energy"] = np.array(energy)
    expected = compute_average_E0s(mace, AtomicNumberTable([1, 8]))
    assert atomic_energies("average", train) == pytest.approx(expected, rel=1e-12)


def test_average_without_any_energy_is_zero(files):
    atoms = ase.Atoms("H", info={"q": 0})
    train = read_configurations(files.write(atoms), {"total_charge": "q"}, {})
    assert atomic_energies("average", train) == {1: 0.0}
    assert interaction_energies(train, {1: 0.0}).size == 0


@pytest.mark.parametrize(
    "given",
    [
        {1: -2, 8: -30.0},
        {"1": -2.0, "8": -30.0},
        {"H": -2.0, "O": -30.0, "Fe": 5.0},
        "{1: -2.0, 8: -30.0}",
        "{'O': -30.0, 'H': -2.0}",
    ],
)
def test_forms_of_given_energies(train, given):
    assert list(atomic_energies(given, train).items()) == [(1, -2.0), (8, -30.0)]


def test_isolated_atoms(files, train):
    frames = [
        ase.Atoms(symbol, info={"REF_energy": energy, "config_type": "IsolatedAtom"})
        for symbol, energy in (("O", -29.0), ("H", -1.0))
    ]
    isolated = read_configurations(files.write(*frames), INFO, {})
    assert all(map(is_isolated_atom, isolated))
    assert not any(map(is_isolated_atom, train))
    assert atomic_energies(None, train, isolated) == {1: -1.0, 8: -29.0}
    with pytest.raises(InputError, match=r"no isolated atom of H \(1\), which the training set"):
        atomic_energies(None, train, isolated[:1])
    with pytest.raises(InputError, match="configuration 0: a second isolated atom O"):
        atomic_energies(None, train, [isolated[0], isolated[0]])
    del isolated[0].labels["energy"]
    with pytest.raises(InputError, match="isolated atom O without an energy"):
        atomic_energies(None, train, isolated)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("averge", "must be 'average', null or a mapping .* got 'averge'"),
        (3.0, "must be 'average', null or a mapping .* got 3.0"),
        (None, "null needs frames of config_type=IsolatedAtom"),
        ({"H": -2.0}, r"no energy for O \(8\), which the training set has"),
        ({"H": -2.0, 1: -2.0, 8: 0.0}, "element H is given twice"),
        ({"Hx": -2.0}, "'Hx' is neither an atomic number nor a chemical symbol"),
        ({0: -2.0}, "0 is neither an atomic number"),
        ({"H": "low"}, "E0s.H: must be a finite energy in eV; got 'low'"),
        ({"H": float("nan")}, "E0s.H: must be a finite energy"),
    ],
)
def test_bad_energies(train, given, message):
    with pytest.raises(InputError, match=message):
        atomic_energies(given, train)
