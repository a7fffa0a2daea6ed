import ase
import numpy as np
import pytest
from omegaconf import OmegaConf

from sweep.data import shipped
from sweep.data.dataset import load
from sweep.errors import InputError

KEYS = {"info_keys": {"energy": "REF_energy"}, "arrays_keys": {"forces": "REF_forces"}}


@pytest.fixture
def train_file(files, water):
    return str(files.write(*(water(seed) for seed in range(10))))


def energies(configurations):
    return [float(configuration.labels["energy"]) for configuration in configurations]


def test_files_are_the_splits(files, water, train_file):
    head = {
        "train_file": train_file,
        "valid_file": str(files.write(water(20))),
        "test_file": str(files.write(water(21), water(22))),
        "valid_fraction": 0.5,  # not used with a valid_file
        "E0s": "average",
        **KEYS,
    }
    data = load({"water": head}, split_seed=0)
    assert [len(c) for _, c in data.splits()] == [10, 1, 2]
    assert data.name == "water"
    assert data.elements == (1, 8)
    assert data.labels == ("energy", "forces")


def test_random_split_is_that_of_mace(train_file, tmp_path):
    from sweep.libraries import quiet

    with quiet():
        from mace.data import random_train_valid_split

    everything = energies(load_one(train_file, valid_fraction=0.01).train)
    assert len(everything) == 9  # at least one configuration is held back
    data = load_one(train_file, valid_fraction=0.3, seed=5)
    items = energies(load_one(train_file, valid_file=train_file).train)
    expected = random_train_valid_split(items, 0.3, 5, str(tmp_path))
    assert (energies(data.train), energies(data.valid)) == expected
    again = load_one(train_file, valid_fraction=0.3, seed=5)
    assert energies(again.valid) == energies(data.valid)
    other = load_one(train_file, valid_fraction=0.3, seed=6)
    assert energies(other.valid) != energies(data.valid)


def load_one(train_file, seed=0, **head):
    head = {"E0s": "average", **KEYS, "train_file": train_file, **head}
    return load({"default": head}, split_seed=seed)


def test_isolated_atoms_leave_the_training_set(files, water):
    atoms = [
        ase.Atoms(symbol, info={"REF_energy": energy, "config_type": "IsolatedAtom"})
        for symbol, energy in (("H", -1.0), ("O", -2.0))
    ]
    path = str(files.write(atoms[0], water(1), water(2), atoms[1]))
    data = load_one(path, E0s=None, valid_fraction=0.5)
    assert data.atomic_energies == {1: -1.0, 8: -2.0}
    assert (len(data.train), len(data.valid)) == (1, 1)
    # as in MACE they win over an average, but not over what the user gives
    average = load_one(path, valid_fraction=0.5)
    assert average.atomic_energies == data.atomic_energies
    assert average.notes == ("isolated atoms of H, O: their energies are the E0s",)
    given = load_one(path, valid_fraction=0.5, E0s={"H": -3.0, "O": -4.0})
    assert given.atomic_energies == {1: -3.0, 8: -4.0}
    assert given.notes == ("isolated atoms of H, O: not used: E0s are given in the configuration",)


def test_coverage(files, water):
    plain = water(3, REF_fermi=2.0, q=0.0)
    del plain.arrays["REF_forces"]
    frames = [water(1, REF_fermi=2.0, q=0.0, config_forces_weight=0.0), water(2, q=0.0), plain]
    head = {
        "info_keys": {"energy": "REF_energy", "fermi_level": "REF_fermi", "total_charge": "q"},
        "arrays_keys": {"forces": "REF_forces"},
    }
    train = str(files.write(*frames))
    rows = {
        (row.label, row.split): row for row in load_one(train, valid_file=train, **head).coverage()
    }
    assert set(rows) == {
        (label, split)
        for label in ("energy", "forces", "total_charge", "fermi_level")
        for split in ("train", "valid")
    }
    forces = rows["forces", "train"]
    assert (forces.labelled, forces.total) == (2, 3)
    values = np.concatenate([frame.arrays["REF_forces"] for frame in frames[:2]])
    assert (forces.minimum, forces.maximum) == pytest.approx((values.min(), values.max()), abs=1e-7)
    assert not forces.constant
    charge, fermi = rows["total_charge", "valid"], rows["fermi_level", "train"]
    assert charge.all_zero
    assert charge.constant
    assert (fermi.labelled, fermi.constant, fermi.all_zero) == (2, True, False)


def test_errors_of_the_head(train_file):
    head = {"train_file": train_file, "valid_fraction": 0.1, **KEYS}
    cases = [
        ({}, "heads: exactly one data set can be trained at a time; got none"),
        ({"a": head, "b": head}, "exactly one data set can be trained at a time; got a, b"),
        ({"a": {**head, "train_fiel": "x"}}, "heads.a: unknown key 'train_fiel'; did you mean"),
        ({"a": {**head, "info_keys": {}, "arrays_keys": {}}}, "heads.a: .* map at least one label"),
        ({"a": {**head, "train_file": None}}, "heads.a.train_file: no file is given"),
        ({"a": {**head, "valid_fraction": None}}, "give a valid_file or a valid_fraction"),
        ({"a": {**head, "valid_fraction": 1.0}}, "valid_fraction: must be between 0 and 1; got 1"),
        (
            {"a": {**head, "valid_fraction": "x"}},
            "valid_fraction: must be between 0 and 1; got 'x'",
        ),
        ({"a": {**head, "valid_file": "no.xyz"}}, "data file 'no.xyz' does not exist"),
        ({"a": {**head, "E0s": "avrage"}}, "heads.a.E0s: must be 'average'"),
    ]
    for heads, message in cases:
        with pytest.raises(InputError, match=message) as error:
            load(heads, split_seed=0)
        assert "\n" not in str(error.value)


def test_errors_of_the_data(files, water, train_file):
    methane = water(30)
    methane.symbols[0] = "C"
    valid = str(files.write(water(31), methane))
    message = f"{valid}: configuration 1 \\(valid set\\) has the element C, which the training set"
    with pytest.raises(InputError, match=message):
        load_one(train_file, valid_file=valid)
    with pytest.raises(InputError, match=r"\(test set\) has the element C"):
        load_one(train_file, valid_file=train_file, test_file=valid)
    atom = ase.Atoms("H", info={"REF_energy": 0.0, "config_type": "IsolatedAtom"})
    atom.arrays["REF_forces"] = np.zeros((1, 3))
    with pytest.raises(InputError, match="holds isolated atoms only"):
        load_one(str(files.write(atom)), valid_file=train_file)
    with pytest.raises(InputError, match="one configuration cannot be split"):
        load_one(str(files.write(water())), valid_fraction=0.5)


def test_shipped_names_the_files_there_are():
    assert shipped("water_clusters/train.xyz").is_file()
    with pytest.raises(
        InputError, match=r"did you mean 'water_clusters/train.xyz'.*there are: .*valid"
    ):
        shipped("water_clusters/trian.xyz")


def test_the_head_of_a_composed_configuration(train_file):
    heads = {
        "default": {
            "train_file": train_file,
            "valid_file": None,
            "test_file": None,
            "valid_fraction": 0.5,
            "E0s": {"H": -1.0, 8: -2.0},
            **KEYS,
        }
    }
    data = load(OmegaConf.create(heads), split_seed=0)
    assert data.atomic_energies == {1: -1.0, 8: -2.0}
    assert energies(data.valid) == energies(load(heads, split_seed=0).valid)
