"""The shipped periodic data set: what its labels obey, and that it can be made again."""

from collections import Counter

import ase.io
import numpy as np
import pytest
import yaml

from sweep.cli.generate import main
from sweep.config.stages import CONF_DIR
from sweep.data import shipped
from sweep.data.dataset import load
from sweep.datagen import generate, water_boxes
from sweep.datagen.recipes import RECIPES, box_atoms

SPLITS = {"train": 144, "valid": 36, "test": 36}


@pytest.fixture(scope="module")
def frames():
    return {split: ase.io.read(shipped(f"water_boxes/{split}.xyz"), ":") for split in SPLITS}


@pytest.fixture(scope="module")
def everything(frames):
    return [atoms for split in frames.values() for atoms in split]


def test_sizes_and_kinds(frames):
    for split, size in SPLITS.items():
        kinds = Counter(atoms.info["config_type"] for atoms in frames[split])
        assert kinds == {f"water_box_{n}": size // 3 for n in (3, 4, 5)}


def test_files_are_small():
    folder = shipped("water_boxes/train.xyz").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1e6


def test_forces_and_charges_balance(everything):
    for atoms in everything:
        np.testing.assert_allclose(atoms.arrays["REF_forces"].sum(axis=0), 0, atol=1e-4)
        assert abs(atoms.arrays["REF_multipoles"][:, 0].sum()) < 1e-6
    forces = np.concatenate([atoms.arrays["REF_forces"] for atoms in everything])
    assert 1.0 < forces.std() < 2.5
    assert np.linalg.norm(forces, axis=1).max() < 12.0


def test_stresses_are_symmetric_and_of_both_signs(everything):
    stresses = np.array([atoms.info["REF_stress"] for atoms in everything]).reshape(-1, 3, 3)
    np.testing.assert_array_equal(stresses, stresses.transpose(0, 2, 1))
    pressures = -np.trace(stresses, axis1=1, axis2=2) / 3
    assert 0.01 < np.std(stresses) < 0.1  # eV/Å³
    assert (pressures > 0).mean() > 0.05
    assert (pressures < 0).mean() > 0.05


def test_structures_are_sane(everything):
    for atoms in everything:
        cell = np.array(atoms.cell)
        assert atoms.pbc.all()
        assert water_boxes.whole(atoms.positions, cell)
        assert atoms.arrays["cluster_batch"].tolist() == [i // 3 for i in range(len(atoms))]
        density = len(atoms) / 3 * 29.9 / atoms.get_volume()
        assert 0.84 < density < 1.21


def test_every_split_has_every_label():
    text = (CONF_DIR / "data" / "water_boxes.yaml").read_text()
    (head,) = yaml.safe_load(text)["heads"].values()
    for key in ("train_file", "valid_file", "test_file"):
        head[key] = str(shipped(head[key].removeprefix("${shipped_data:").removesuffix("}")))
    data = load({"water_boxes": head}, split_seed=0)
    assert len(data.labels) == 6
    for row in data.coverage():
        assert row.labelled == row.total == SPLITS[row.split]
        assert row.constant is (row.label == "total_charge")
    assert all(c.periodic and c.weights["dipole_weight"].sum() == 0 for c in data.train)


def test_a_shipped_configuration_can_be_made_again(frames):
    row = 2
    there = frames["valid"][row]
    index = there.info["sample_index"]
    assert water_boxes.plan("valid")[row] == index
    again = box_atoms(index, water_boxes.SEED)
    np.testing.assert_allclose(again.positions, there.positions, atol=2e-5)
    np.testing.assert_allclose(again.cell, there.cell, atol=1e-6)
    assert again.info["REF_energy"] == pytest.approx(there.info["REF_energy"], abs=1e-4)
    np.testing.assert_allclose(
        again.info["REF_stress"], there.info["REF_stress"].ravel(), atol=1e-4
    )
    for name, tolerance in (("REF_forces", 2e-3), ("REF_multipoles", 1e-4)):
        np.testing.assert_allclose(again.arrays[name], there.arrays[name], atol=tolerance)
    assert list(again.info) == list(there.info)


def test_seeds_differ():
    one, other = (water_boxes.sample(0, seed).positions for seed in (1, 2))
    assert not np.allclose(one, other)


def test_a_molecule_that_lost_its_hydrogen_is_not_whole():
    cell = 6.0 * np.eye(3)
    waters = np.array(
        [[1, 1, 1], [1, 1, 2.0], [1, 2.0, 1], [4, 4, 4], [4, 4, 5.0], [4, 5.0, 4]], dtype=float
    )
    assert water_boxes.whole(waters, cell)
    assert water_boxes.whole(waters + np.array([0, 0, 3.4]), cell)
    for change in ([0, 0, 6.0], [0, 0, 0.4], [0, 0, -0.3]):  # an image's, stretched, too short
        broken = waters.copy()
        broken[1] += change
        assert not water_boxes.whole(broken, cell)


def test_the_command_writes_what_is_shipped(tmp_path, monkeypatch, capsys, frames):
    monkeypatch.setattr(water_boxes, "plan", lambda split: [generate.SPLITS.index(split)])
    assert main(["water_boxes", "--out", str(tmp_path)]) == 0
    assert "wrote" in capsys.readouterr().out
    new = ase.io.read(tmp_path / "train.xyz")
    there = next(a for a in frames["train"] if a.info["sample_index"] == 0)
    assert list(new.info) == list(there.info)
    assert list(new.arrays) == list(there.arrays)
    np.testing.assert_allclose(new.positions, there.positions, atol=2e-5)


def test_the_readme_is_that_of_the_generator():
    text = shipped("water_boxes/README.md").read_text()
    version = text.split("tblite ")[1].split(",")[0]
    expected = RECIPES["water_boxes"].readme.format(seed=water_boxes.SEED, tblite=version)
    assert text == expected
