"""The shipped data set: what its labels obey, and that it can be made again."""

import subprocess
import sys
from collections import Counter

import ase.io
import numpy as np
import pytest
import yaml

from sweep.cli.generate import main
from sweep.config.stages import CONF_DIR
from sweep.data import shipped
from sweep.data.dataset import load
from sweep.data.labels import LABELS, find_label
from sweep.datagen import generate, water_clusters
from sweep.datagen.recipes import RECIPES, cluster_atoms
from sweep.errors import InputError

SPLITS = {"train": 240, "valid": 60, "test": 60}


@pytest.fixture(scope="module")
def frames():
    return {split: ase.io.read(shipped(f"water_clusters/{split}.xyz"), ":") for split in SPLITS}


@pytest.fixture(scope="module")
def everything(frames):
    return [atoms for split in frames.values() for atoms in split]


@pytest.fixture(scope="module")
def head():
    """The head of ``conf/data/water_clusters.yaml`` with its paths resolved."""
    text = (CONF_DIR / "data" / "water_clusters.yaml").read_text()
    (head,) = yaml.safe_load(text)["heads"].values()
    for key in ("train_file", "valid_file", "test_file"):
        head[key] = str(shipped(head[key].removeprefix("${shipped_data:").removesuffix("}")))
    return head


def test_sizes_and_kinds(frames):
    counts = {kind.name: count for kind, count in water_clusters.COUNTS.items()}
    assert {split: len(atoms) for split, atoms in frames.items()} == SPLITS
    for split, atoms in frames.items():
        share = {"train": 4, "valid": 1, "test": 1}[split]
        kinds = Counter(a.info["config_type"] for a in atoms)
        assert kinds == {name: count * share // 6 for name, count in counts.items()}


def test_files_are_small():
    folder = shipped("water_clusters/train.xyz").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2e6


def test_atomic_multipoles_make_up_charge_and_dipole(everything):
    for atoms in everything:
        multipoles = atoms.arrays["REF_multipoles"]
        charges, dipoles = multipoles[:, 0], multipoles[:, [3, 1, 2]]
        total = charges @ atoms.positions + dipoles.sum(axis=0)
        np.testing.assert_allclose(total, atoms.info["REF_dipole"], atol=1e-6)
        assert charges.sum() == pytest.approx(atoms.info["total_charge"], abs=1e-6)


def test_polarizabilities_are_symmetric_and_positive_definite(everything):
    for atoms in everything:
        alpha = atoms.info["REF_polarizability"].reshape(3, 3)
        np.testing.assert_array_equal(alpha, alpha.T)
        assert np.linalg.eigvalsh(alpha).min() > 0


def test_configurations_are_centred_at_their_centre_of_mass(everything):
    for atoms in everything:
        np.testing.assert_allclose(atoms.get_center_of_mass(), 0, atol=2e-6)


def test_forces_balance_and_are_those_of_hot_clusters(everything):
    for atoms in everything:
        np.testing.assert_allclose(atoms.arrays["REF_forces"].sum(axis=0), 0, atol=1e-5)
    forces = np.concatenate([atoms.arrays["REF_forces"] for atoms in everything])
    assert 1.0 < forces.std() < 2.5
    assert np.linalg.norm(forces, axis=1).max() < 15


def test_structures_are_sane(everything):
    for atoms in everything:
        distances = atoms.get_all_distances()
        assert distances[np.triu_indices(len(atoms), 1)].min() > 0.75
        molecules = atoms.arrays["cluster_batch"]
        oxygens = atoms.numbers == 8
        assert sorted(molecules[oxygens]) == list(range(oxygens.sum()))
        hydrogens = Counter(molecules[~oxygens].tolist())
        ions = [n - 2 for n in hydrogens.values() if n != 2]
        assert ions == ([atoms.info["total_charge"]] if atoms.info["total_charge"] else [])
        own_oxygen = {molecules[i]: i for i in np.flatnonzero(oxygens)}
        assert max(distances[i, own_oxygen[m]] for i, m in enumerate(molecules)) < 1.36


def test_every_split_has_every_label(head):
    data = load({"water_clusters": head}, split_seed=0)
    assert len(data.labels) == 8
    for row in data.coverage():
        assert row.labelled == row.total == SPLITS[row.split]
        assert not row.constant
    assert data.elements == (1, 8)
    assert data.train[0].weights["cluster_loss_weight"] == 1


@pytest.mark.parametrize(("split", "row"), [("test", 0), ("train", 5)])
def test_shipped_configurations_can_be_made_again(frames, split, row):
    there = frames[split][row]
    index = there.info["sample_index"]
    assert water_clusters.plan(split)[row] == index
    again = cluster_atoms(index, water_clusters.SEED)
    np.testing.assert_array_equal(again.numbers, there.numbers)
    np.testing.assert_allclose(again.positions, there.positions, atol=2e-5)
    assert again.info["config_type"] == there.info["config_type"]
    assert again.info["REF_energy"] == pytest.approx(there.info["REF_energy"], abs=1e-4)
    for name, tolerance in (("REF_forces", 2e-3), ("REF_multipoles", 1e-4)):
        np.testing.assert_allclose(again.arrays[name], there.arrays[name], atol=tolerance)
    for name, tolerance in (("REF_dipole", 1e-4), ("REF_polarizability", 1e-4)):
        np.testing.assert_allclose(again.info[name], there.info[name], atol=tolerance)
    assert again.info["REF_fermi_level"] == pytest.approx(there.info["REF_fermi_level"], abs=1e-3)


def test_seeds_differ():
    one, other = (water_clusters.sample(0, seed).positions for seed in (1, 2))
    assert not np.allclose(one, other)


def test_a_molecule_that_lost_its_hydrogen_is_rejected():
    kind = water_clusters.Kind("water_2", 0, 2)
    waters = np.array(
        [[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0], [5, 0, 0], [5, 0, 1.0], [5, 1.0, 0]], dtype=float
    )
    assert water_clusters.assign_molecules(kind, waters).tolist() == [0, 0, 0, 1, 1, 1]
    waters[4] = [1.0, 0, 0]
    assert water_clusters.assign_molecules(kind, waters) is None


@pytest.fixture
def short(monkeypatch):
    """The data set with one water molecule per split."""
    monkeypatch.setattr(water_clusters, "plan", lambda split: [generate.SPLITS.index(split)])


@pytest.mark.usefixtures("short")
def test_the_command_writes_what_is_shipped(tmp_path, capsys, frames):
    assert main(["water_clusters", "--out", str(tmp_path / "new")]) == 0
    assert "wrote" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["README.md", "test.xyz", "train.xyz", "valid.xyz"]
    (new,) = ase.io.read(tmp_path / "new" / "train.xyz", ":")
    there = next(a for a in frames["train"] if a.info["sample_index"] == 0)
    assert list(new.info) == list(there.info)
    assert list(new.arrays) == list(there.arrays)
    np.testing.assert_allclose(new.positions, there.positions, atol=2e-5)


@pytest.mark.usefixtures("short")
def test_the_command_without_tblite(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    monkeypatch.setitem(sys.modules, "tblite.exceptions", None)
    assert main(["water_clusters", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: GFN2-xTB labels need the package tblite")
    assert "mace-loss-sweep[data]" in error


def test_the_readme_is_that_of_the_generator(tmp_path):
    text = shipped("water_clusters/README.md").read_text()
    assert f"--seed {water_clusters.SEED}" in text
    version = text.split("tblite ")[1].split(",")[0]
    assert text == RECIPES["water_clusters"].readme.format(seed=water_clusters.SEED, tblite=version)


def test_the_template_for_own_files_maps_known_labels():
    text = (CONF_DIR / "data" / "extxyz.yaml").read_text()
    (template,) = yaml.safe_load(text)["heads"].values()
    assert template["train_file"] == "???"
    mapped = {**template["info_keys"], **template["arrays_keys"]}
    assert all(find_label(name) for name in mapped)
    for label in LABELS.values():
        assert f"{label.name}: " in text


def test_reading_needs_no_torch():
    code = (
        "import sys; from sweep.data import shipped, dataset, statistics; "
        "from sweep.data.read.configurations import read_configurations; "
        "read_configurations(shipped('water_clusters/test.xyz'), {'energy': 'REF_energy'}, {}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_data_sets_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["watr_clusters"])
    assert "water_clusters" in capsys.readouterr().err


def test_shipped_data_can_be_read_by_name_only():
    with pytest.raises(InputError, match=r"no shipped data file '../labels.py'"):
        shipped("../labels.py")
