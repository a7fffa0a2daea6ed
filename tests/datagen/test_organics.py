"""The shipped organic data set: what its labels obey, and that it can be made again."""

from collections import Counter

import ase.io
import numpy as np
import pytest

from sweep.data import shipped
from sweep.datagen import organics
from sweep.datagen.recipes import organic_atoms

SPLITS = {"train": 168, "valid": 42, "test": 42}


@pytest.fixture(scope="module")
def frames():
    return {split: ase.io.read(shipped(f"organics/{split}.xyz"), ":") for split in SPLITS}


@pytest.fixture(scope="module")
def everything(frames):
    return [atoms for split in frames.values() for atoms in split]


def test_every_split_has_every_kind(frames):
    for split, size in SPLITS.items():
        kinds = Counter(atoms.info["config_type"] for atoms in frames[split])
        assert kinds == {kind.name: size // 14 for kind in organics.KINDS}


def test_files_are_small():
    folder = shipped("organics/train.xyz").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1e6


def test_atomic_multipoles_make_up_charge_and_dipole(everything):
    for atoms in everything:
        multipoles = atoms.arrays["REF_multipoles"]
        charges, dipoles = multipoles[:, 0], multipoles[:, [3, 1, 2]]
        total = charges @ atoms.positions + dipoles.sum(axis=0)
        np.testing.assert_allclose(total, atoms.info["REF_dipole"], atol=1e-6)
        assert charges.sum() == pytest.approx(atoms.info["total_charge"], abs=1e-6)
        np.testing.assert_allclose(atoms.get_center_of_mass(), 0, atol=2e-6)
        np.testing.assert_allclose(atoms.arrays["REF_forces"].sum(axis=0), 0, atol=1e-5)


def test_bonds_are_those_of_the_molecules(everything):
    valence = {1: {1}, 6: {3, 4, 2}, 7: {1, 3, 4}, 8: {1, 2}}
    for atoms in everything:
        n_bonds = organics.bonds(atoms.numbers, atoms.positions).sum(axis=1)
        assert all(n in valence[z] for z, n in zip(atoms.numbers, n_bonds, strict=True))


@pytest.mark.parametrize("row", [0, 1])
def test_shipped_configurations_can_be_made_again(frames, row):
    there = frames["test"][row]
    assert organics.plan("test")[row] == there.info["sample_index"]
    again = organic_atoms(there.info["sample_index"], organics.SEED)
    np.testing.assert_array_equal(again.numbers, there.numbers)
    np.testing.assert_allclose(again.positions, there.positions, atol=2e-5)
    assert again.info["REF_energy"] == pytest.approx(there.info["REF_energy"], abs=1e-4)
    np.testing.assert_allclose(again.arrays["REF_forces"], there.arrays["REF_forces"], atol=2e-3)
