"""HDF5 and LMDB files, written by MACE's own functions, hold what the extxyz file held."""

import ase.io
import h5py
import lmdb
import numpy as np
import pytest

from sweep.data.dataset import load
from sweep.data.read import tables as reading
from sweep.data.read.configurations import read_configurations
from sweep.data.read.formats import content_digest, files_of
from sweep.errors import InputError
from sweep.libraries import quiet

with quiet():
    from mace.data import KeySpecification
    from mace.data.utils import load_from_xyz, save_configurations_as_HDF5
    from mace.tools.fairchem_dataset.lmdb_dataset_tools import LMDBDatabase

INFO = {
    "energy": "REF_energy",
    "stress": "REF_stress",
    "dipole": "REF_dipole",
    "total_charge": "total_charge",
}
ARRAYS = {"forces": "REF_forces", "atomic_multipoles": "REF_multipoles"}


@pytest.fixture
def frames(water):
    rng = np.random.default_rng(1)
    made = []
    for seed in range(7):
        atoms = water(
            seed,
            columns={"REF_multipoles": rng.normal(size=(3, 4))},
            total_charge=float(seed % 2),
            config_type=f"kind{seed % 2}",
            config_weight=2.0 + seed,
        )
        if seed % 3 == 1:
            atoms.set_cell(np.diag([9.0, 10.0, 11.0]))
            atoms.pbc = True
            atoms.info["REF_stress"] = rng.normal(size=9)
        else:
            atoms.info["REF_dipole"] = rng.normal(size=3)
        if seed == 4:
            atoms.info["config_forces_weight"] = 0.25
        if seed == 5:
            del atoms.arrays["REF_forces"]
        made.append(atoms)
    return made


@pytest.fixture
def xyz(files, frames):
    return files.write(*frames)


def write_hdf5(folder, xyz, shards=3):
    """As ``mace_prepare_data`` does with several processes."""
    keys = KeySpecification(
        info_keys={**INFO, "virials": "REF_virials", "head": "head"}, arrays_keys=ARRAYS
    )
    _, configurations = load_from_xyz(str(xyz), keys)
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.array(configurations, dtype=object), shards)):
        with h5py.File(folder / f"train_{number}.h5", "w") as file:
            file.attrs["drop_last"] = False
            save_configurations_as_HDF5(part, number, file)
    return folder


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_equal(one.atomic_numbers, other.atomic_numbers)
        np.testing.assert_equal(one.positions, other.positions)
        np.testing.assert_equal(one.cell, other.cell)
        np.testing.assert_equal(one.pbc, other.pbc)
        np.testing.assert_equal(dict(one.labels), dict(other.labels))
        np.testing.assert_equal(dict(one.weights), dict(other.weights))
        assert (one.weight, one.config_type) == (other.weight, other.config_type)


def test_hdf5_folders_and_files(xyz, tmp_path):
    folder = write_hdf5(tmp_path / "train", xyz)
    expected = read_configurations(xyz, INFO, ARRAYS)
    found = read_configurations(folder, INFO, ARRAYS)
    assert_same(found, expected)
    assert found[0].where == f"{folder}/train_0.h5: configuration 0"
    assert found[-1].where == f"{folder}/train_2.h5: configuration 1"
    assert_same(read_configurations(folder / "train_0.h5", INFO, ARRAYS), expected[:3])
    # MACE ignores the names of the keys there, and so do we
    own = {"energy": "energy", "stress": "x", "dipole": "dipole", "total_charge": "total_charge"}
    assert_same(read_configurations(folder, own, {**ARRAYS, "forces": "y"}), expected)


def test_hdf5_through_the_cache(xyz, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGE", 0)
    monkeypatch.setattr(reading, "in_processes", lambda function, tasks: map(function, tasks))
    folder = write_hdf5(tmp_path / "train", xyz)
    head = {"info_keys": INFO, "arrays_keys": ARRAYS, "E0s": "average", "valid_fraction": 0.3}
    found, expected = (
        load({"a": {**head, "train_file": str(path)}}, split_seed=0, cache_dir=tmp_path / "cache")
        for path in (folder, xyz)
    )
    assert found.train.columns.folder != expected.train.columns.folder
    assert_same(found.train, expected.train)
    assert found.train[0].file.startswith(f"{folder}/train_")
    assert found.coverage() == expected.coverage()


def write_lmdb(path, frames):
    database = LMDBDatabase(str(path))
    for atoms in frames:
        database.write(atoms, data={})  # the default is one dictionary for all rows
    database.close()
    return path


def test_lmdb_files_and_folders(xyz, tmp_path):
    frames = ase.io.read(xyz, ":")
    folder = tmp_path / "train_lmdb"
    folder.mkdir()
    first = write_lmdb(folder / "data_2.lmdb", frames[:4])
    write_lmdb(folder / "data_10.aselmdb", frames[4:])
    expected = read_configurations(xyz, INFO, ARRAYS)
    assert_same(read_configurations(folder, INFO, ARRAYS), expected)
    assert_same(read_configurations(first, INFO, ARRAYS), expected[:4])


def test_lmdb_with_the_results_of_a_calculator(xyz, tmp_path):
    """MACE takes these as the labels, whatever the mapped key is."""
    from ase.calculators.singlepoint import SinglePointCalculator

    frames = [frame for frame in ase.io.read(xyz, ":") if "REF_forces" in frame.arrays]
    for atoms in frames:
        energy, forces = atoms.info.pop("REF_energy"), atoms.arrays.pop("REF_forces")
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    path = write_lmdb(tmp_path / "train.lmdb", frames)
    found = read_configurations(path, INFO, ARRAYS)
    expected = [c for c in read_configurations(xyz, INFO, ARRAYS) if "forces" in c.labels]
    assert_same(found, expected)


def test_deleted_rows_are_no_configurations(xyz, tmp_path):
    path = write_lmdb(tmp_path / "train.lmdb", ase.io.read(xyz, ":"))
    database = LMDBDatabase(str(path))
    database.delete([3, 6])
    database.close()
    expected = read_configurations(xyz, INFO, ARRAYS)
    kept = [c for row, c in enumerate(expected, 1) if row not in (3, 6)]
    assert_same(read_configurations(path, INFO, ARRAYS), kept)


def test_errors_name_file_and_configuration(xyz, tmp_path, water):
    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "text.h5"
    text.write_text("3\n")
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["config_0/positions"] = np.zeros((1, 3))
    broken = write_hdf5(tmp_path / "broken", xyz, shards=1)
    with h5py.File(broken / "train_0.h5", "a") as file:
        del file["config_batch_0/config_3/positions"]
    no_rows = tmp_path / "rows.lmdb"
    lmdb.open(str(no_rows), subdir=False).close()
    no_lmdb = tmp_path / "text.lmdb"
    no_lmdb.write_text("text")
    nan = water(1)
    nan.arrays["REF_forces"][0, 0] = np.inf
    bad = write_lmdb(tmp_path / "bad.lmdb", [water(0), nan])
    for path, message in (
        (empty, r"empty' holds no file \*.h5, \*.hdf5, \*.lmdb, \*.aselmdb"),
        (text, "text.h5: not readable as an HDF5 file"),
        (other, "other.h5: not in the layout of mace_prepare_data: .*there: config_0"),
        (broken, "train_0.h5: configuration 3 is not in the layout of mace_prepare_data"),
        (no_rows, "rows.lmdb: not an LMDB file of ASE rows: no 'nextid'"),
        (no_lmdb, "text.lmdb: not readable as an LMDB file"),
        (bad, r"bad.lmdb: configuration 1: label 'forces' \(key 'REF_forces'\)"),
        (tmp_path / "none.h5", "none.h5' does not exist"),
    ):
        with pytest.raises(InputError, match=message) as error:
            read_configurations(path, {"energy": "REF_energy"}, {"forces": "REF_forces"})
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no configuration has the comment-line key 'REF_enrgy'"):
        read_configurations(xyz, {"energy": "REF_enrgy"}, {})


def test_files_of_a_folder_are_read_by_their_numbers(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"train_{number}.h5").write_bytes(bytes([number]))
    assert [file.stem for file in files_of(tmp_path)] == ["train_1", "train_2", "train_10"]
    before = content_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not data")
    assert content_digest(tmp_path) == before
    (tmp_path / "train_2.h5").write_bytes(b"x")
    assert content_digest(tmp_path) != before
    (tmp_path / "a.lmdb").touch()
    with pytest.raises(InputError, match="holds both HDF5 and LMDB files"):
        files_of(tmp_path)
