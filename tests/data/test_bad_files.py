"""A table of bad data: each is refused in one line that names the file and the culprit."""

from __future__ import annotations

import json

import ase
import h5py
import numpy as np
import pytest
import yaml
from ase.io import write
from omegaconf import OmegaConf

from sweep.data.cache import opened
from sweep.data.dataset import load
from sweep.data.read.configurations import read_configurations
from sweep.errors import InputError

ROWS = "H 0 0 0 0 0 1\nO 0 0 1 0 0 -1\n"
PROPERTIES = "Properties=species:S:1:pos:R:3:REF_forces:R:3"
BOX = 'Lattice="9 0 0 0 9 0 0 0 9"'
GOOD = f"2\n{PROPERTIES} REF_energy=-1\n{ROWS}"
MAPPING = {
    "info_keys": {"energy": "REF_energy"},
    "arrays_keys": {"forces": "REF_forces"},
}


def comment(more: str, properties: str = PROPERTIES, rows: str = ROWS, energy: str = "-1") -> str:
    return f"{len(rows.splitlines())}\n{properties} REF_energy={energy} {more}\n{rows}"


# name: (text of the file, what the one line must contain)
FRAMES: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["holds no configuration"]),
    "blank": ("\n\n \n", ["holds no configuration"]),
    "no number of atoms": ("water\n" + GOOD, ["frame 0 (line 1)", "'water'"]),
    "a number with a point": ("2.0" + GOOD[1:], ["expected a number of atoms", "'2.0'"]),
    "a negative number": ("-2" + GOOD[1:], ["has -2 atoms"]),
    "no atoms": (f"0\n{PROPERTIES}\n", ["has 0 atoms"]),
    "too many atoms": ("3" + GOOD[1:], ["cut short: 2 of 3 atoms"]),
    "too few atoms": ("1" + GOOD[1:], ["frame 1 (line 4)", "expected a number of atoms"]),
    "a huge number of atoms": ("9" * 15 + GOOD[1:], ["cut short"]),
    "cut in the second frame": (GOOD + GOOD[:-20], ["frame 1 (line 5)"]),
    "html": ("<html>\n<body>\n", ["expected a number of atoms", "<html>"]),
    "json": ('{"atoms": []}\n', ["expected a number of atoms"]),
    "energy twice": (comment("REF_energy=-2"), ["'REF_energy' stands twice", "'-1'", "'-2'"]),
    "energy as text and number": (comment("REF_energy=low"), ["stands twice", "'low'"]),
    "pbc twice": (comment(f"{BOX} pbc=FFF PBC=TTT"), ["'pbc' stands twice"]),
    "lattice twice": (comment(f'{BOX} lattice="8 0 0 0 8 0 0 0 8"'), ["'Lattice' stands twice"]),
    "an open quote": (comment('note="open'), ["'note' has no end"]),
    "an open quote of one kind": (comment("note='open"), ["'note' has no end"]),
    "pbc of two": (comment(f'{BOX} pbc="T T"'), ["pbc must be three", "'T T'"]),
    "pbc of four": (comment(f'{BOX} pbc="T T T T"'), ["pbc must be three"]),
    "pbc as a word": (comment(f"{BOX} pbc=none"), ["pbc must be three", "'none'"]),
    "pbc as yes": (comment(f'{BOX} pbc="yes yes yes"'), ["pbc must be three"]),
    "pbc as a number": (comment(f'{BOX} pbc="2 2 2"'), ["pbc must be three"]),
    "pbc empty": (comment(f'{BOX} pbc=""'), ["pbc must be three"]),
    "pbc without value": (comment(f"{BOX} pbc"), ["pbc must be three", "none"]),
    "pbc without quotes": (comment(f"{BOX} pbc=T F F"), ["pbc has values outside its quotes"]),
    "pbc of mixed letters": (comment(f"{BOX} pbc=TXF"), ["pbc must be three"]),
    "lattice of six": (comment('Lattice="9 9 9 90 90 90"'), ["Lattice must be nine"]),
    "lattice of three": (comment('Lattice="9 9 9"'), ["Lattice must be nine"]),
    "lattice of words": (comment('Lattice="a b c d e f g h i"'), ["Lattice must be nine"]),
    "lattice without value": (comment("Lattice"), ["Lattice must be nine"]),
    "lattice without quotes": (comment("Lattice=9 0 0 0 9 0 0 0 9"), ["Lattice must be nine"]),
    "a cell under another name": (comment('cell="9 0 0 0 9 0 0 0 9"'), ["'cell'", "Lattice"]),
    "a cell that is not finite": (
        comment('Lattice="nan 0 0 0 9 0 0 0 9"'), ["cell is not finite"]),
    "a cell of zeros": (comment('Lattice="0 0 0 0 0 0 0 0 0"'), ["length zero"]),
    "a vector of zeros": (
        comment('Lattice="9 0 0 0 9 0 0 0 0" pbc="T T T"'), ["cell vector of length zero"]),
    "a flat cell": (comment('Lattice="9 0 0 0 9 0 9 9 0"'), ["lie in one plane"]),
    "periodic without a cell": (comment("pbc=TTT"), ["length zero"]),
    "Properties in pairs": (comment("", "Properties=species:S:pos:R"), ["name:type:columns"]),
    "an unknown type": (comment("", "Properties=species:S:1:pos:X:3"), ["'pos'", "type 'X'"]),
    "no number of columns": (comment("", "Properties=species:S:1:pos:R:x"), ["'pos'", "'x'"]),
    "zero columns": (comment("", "Properties=species:S:1:pos:R:0"), ["'pos'", "'0'"]),
    "no species": (comment("", "Properties=pos:R:3:f:R:4", "0 0 0 1 2 3 4\n"), ["species"]),
    "no positions": (comment("", "Properties=species:S:1:f:R:6"), ["pos:R:3"]),
    "positions of two": (comment("", "Properties=species:S:1:pos:R:2:f:R:4"), ["pos:R:3"]),
    "positions as text": (comment("", "Properties=species:S:1:pos:S:3:f:R:3"), ["pos:R:3"]),
    "a row too short": (comment("", rows="H 0 0 0 0 0\n"), ["atom 0 has 6 values", "needs 7"]),
    "a row too long": (comment("", rows="H 0 0 0 0 0 0 9\n"), ["atom 0 has 8 values"]),
    "an empty row": (comment("", rows="\n"), ["atom 0 has 0 values"]),
    "a word for a number": (comment("", rows="H 0 zero 0 0 0 0\n"), ["'zero'", "'pos'"]),
    "a Fortran exponent": (comment("", rows="H 0 0 0 0 1.0D+00 0\n"), ["'1.0D+00'", "REF_forces"]),
    "a number in groups": (comment("", rows="H 0 1_0 0 0 0 0\n"), ["'1_0'", "'pos'"]),
    "a grouped energy": (comment("", energy="-1_000"), ["'energy'", "'-1_000'"]),
    "stars of Fortran": (comment("", rows="H 0 0 0 0 ****** 0\n"), ["'******'", "REF_forces"]),
    "a comma for a point": (comment("", rows="H 0 0,5 0 0 0 0\n"), ["'0,5'", "'pos'"]),
    "a whole number with a point": (
        comment("", f"{PROPERTIES}:k:I:1", "H 0 0 0 0 0 1 1.5\n"), ["'1.5'", "'k'", "whole"]),
    "a whole number too large": (
        comment("", f"{PROPERTIES}:k:I:1", f"H 0 0 0 0 0 1 {'9' * 30}\n"), ["'k'", "whole"]),
    "a truth value that is none": (
        comment("", f"{PROPERTIES}:k:L:1", "H 0 0 0 0 0 1 maybe\n"), ["'maybe'", "T or F"]),
    "a column twice": (
        comment("", f"{PROPERTIES}:q:R:1:q:R:1", "H 0 0 0 0 0 1 1 2\n"), ["'q' stands twice"]),
    "species and numbers that differ": (
        comment("", f"{PROPERTIES}:Z:I:1", "H 0 0 0 0 0 1 8\n"), ["species", "differ"]),
    "an unknown element": (comment("", rows="Xx 0 0 0 0 0 1\n"), ["'Xx'", "chemical element"]),
    "an atom type": (comment("", rows="OW 0 0 0 0 0 1\n"), ["'OW'", "chemical element"]),
    "a number for a species": (comment("", rows="8 0 0 0 0 0 1\n"), ["'8'", "Z:I:1"]),
    "a dummy atom": (comment("", rows="X 0 0 0 0 0 1\n"), ["atom 0 has no chemical element"]),
    "an atomic number too large": (
        comment("", "Properties=Z:I:1:pos:R:3:REF_forces:R:3", "999 0 0 0 0 0 1\n"), ["118"]),
    "an atomic number of zero": (
        comment("", "Properties=Z:I:1:pos:R:3:REF_forces:R:3", "0 0 0 0 0 0 1\n"),
        ["no chemical element"]),
    "a position that is not finite": (comment("", rows="H nan 0 0 0 0 1\n"), ["position"]),
    "a force that is not finite": (comment("", rows="H 0 0 0 inf 0 1\n"), ["'forces'", "finite"]),
    "an energy that is a word": (comment("", energy="low"), ["'energy'", "'low'"]),
    "an energy that is empty": (comment("", energy=""), ["'energy'", "not a number"]),
    "an energy that is not finite": (comment("", energy="nan"), ["'energy'", "not finite"]),
    "an energy that is a truth value": (comment("", energy="T"), ["'energy'", "not a number"]),
    "an energy beyond all reason": (comment("", energy="-1e30"), ["'energy'", "got -1e+30"]),
    "an energy of three numbers": (comment("", energy='"1 2 3"'), ["'energy'", "shape 3"]),
    "an energy in a comma": (comment("", energy="-1,5"), ["'energy'", "shape 2"]),
    "a weight below zero": (comment("config_weight=-1"), ["config_weight", "-1"]),
    "a weight that is a word": (comment("config_weight=high"), ["config_weight", "'high'"]),
    "a weight that is not finite": (comment("config_energy_weight=inf"), ["config_energy_weight"]),
    "a weight of two": (comment('config_forces_weight="1 2"'), ["config_forces_weight", "2"]),
    "a misspelt weight": (comment("config_force_weight=1"), ["config_force_weight", "did you"]),
}  # fmt: skip


def refused(path, mapping=MAPPING) -> str:
    with pytest.raises(InputError) as error:
        read_configurations(path, mapping["info_keys"], mapping["arrays_keys"])
    message = str(error.value)
    assert "\n" not in message
    assert "\x1b" not in message
    return message


@pytest.mark.parametrize("name", FRAMES)
def test_frames(files, name):
    text, words = FRAMES[name]
    path = files.text(text)
    message = refused(path)
    assert str(path) in message
    for word in words:
        assert word in message


# label: (section, value in the comment line or the column, what the line must contain)
LABELS: dict[str, tuple[str, str, list[str]]] = {
    "dipole of two": ("dipole", '"1 2"', ["shape 2", "expected 3"]),
    "dipole of four": ("dipole", '"1 2 3 4"', ["shape 4"]),
    "dipole as a word": ("dipole", "large", ["not a number"]),
    "dipole as a mapping": ("dipole", '"_JSON {}"', ["not a number"]),
    "dipole of broken JSON": ("dipole", '"_JSON [1, 2"', ["not a number"]),
    "dipole of unequal rows": ("dipole", "[[1, 2], [3]]", ["not a number"]),
    "dipole in two rows": ("dipole", "[[1, 2, 3], [1, 2, 3]]", ["shape 2x3"]),
    "dipole that is not finite": ("dipole", '"1 nan 3"', ["not finite"]),
    "stress of five": ("stress", '"1 2 3 4 5"', ["shape 5", "3x3, 9 or 6"]),
    "stress of a molecule": ("stress", '"1 2 3 4 5 6"', ["without a periodic cell"]),
    "virials of a molecule": ("virials", '"1 2 3 4 5 6"', ["without a periodic cell"]),
    "virials of four": ("virials", '"1 2 3 4"', ["'virials'", "3x3, 9 or 6"]),
    "polarizability of six": ("polarizability", '"1 2 3 4 5 6"', ["3x3 or 9"]),
    "charge of two": ("total_charge", '"1 2"', ["one number"]),
    "charge as a word": ("total_charge", "neutral", ["not a number"]),
    "multiplicity of zero": ("total_spin", "0", ["2S + 1", "is 0"]),
    "multiplicity of a half": ("total_spin", "1.5", ["2S + 1", "is 1.5"]),
    "multiplicity below zero": ("total_spin", "-1", ["2S + 1"]),
    "Fermi level as text": ("fermi_level", '"a b"', ["not a number"]),
    "field of one": ("external_field", "0.1", ["'external_field'", "expected 3"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels(files, name):
    label, value, words = LABELS[name]
    path = files.text(comment(f"my={value}"))
    message = refused(path, {"info_keys": {label: "my"}, "arrays_keys": {}})
    for word in [f"label '{label}'", "configuration 0", *words][name.endswith("a molecule") :]:
        assert word in message


@pytest.mark.parametrize(
    ("label", "column", "rows", "word"),
    [
        ("atomic_multipoles", "q:R:2", "H 0 0 0 0 0\n", "C = 1, 4, 9, 16"),
        ("atomic_multipoles", "q:S:1", "H 0 0 0 a\n", "not a number"),
        ("forces", "q:R:2", "H 0 0 0 0 0\n", "expected 1x3"),
        ("esps", "q:R:2", "H 0 0 0 0 0\n", "expected 1"),
        ("cluster_batch", "q:R:1", "H 0 0 0 0.5\n", "whole numbers"),
        ("cluster_batch", "q:S:1", "H 0 0 0 a\n", "not a number"),
    ],
)
def test_columns(files, label, column, rows, word):
    path = files.text(comment("", f"Properties=species:S:1:pos:R:3:{column}", rows))
    assert word in refused(path, {"info_keys": {}, "arrays_keys": {label: "q"}})


# name: (head, what the line must contain); FILE stands for a good file of four frames
HEADS: dict[str, tuple[dict, list[str]]] = {
    "an unknown key": ({"train_fil": "a"}, ["heads.default", "'train_fil'", "'train_file'"]),
    "nothing mapped": ({"info_keys": {}, "arrays_keys": {}}, ["map at least one label"]),
    "no file": ({"train_file": None}, ["train_file", "no file"]),
    "a file that is not there": ({"train_file": "no.xyz"}, ["'no.xyz'", "does not exist"]),
    "a home that is not there": ({"train_file": "~nobody_x/t.xyz"}, ["no home folder"]),
    "a name with a null byte": ({"train_file": "a\0b"}, ["not a path"]),
    "a name that is too long": ({"train_file": "a" * 300}, ["too long"]),
    "a device": ({"train_file": "/dev/null"}, ["is not a file"]),
    "no validation": ({"valid_fraction": None}, ["valid_file or a valid_fraction"]),
    "a fraction of zero": ({"valid_fraction": 0}, ["between 0 and 1", "0"]),
    "a fraction of one": ({"valid_fraction": 1.0}, ["between 0 and 1"]),
    "a fraction as text": ({"valid_fraction": "half"}, ["between 0 and 1", "'half'"]),
    "a fraction as a truth value": ({"valid_fraction": True}, ["between 0 and 1"]),
    "E0s as a word": ({"E0s": "mean"}, ["heads.default.E0s", "'mean'"]),
    "E0s as code": ({"E0s": "__import__('os').getcwd()"}, ["heads.default.E0s"]),
    "E0s as a list": ({"E0s": [1, 2]}, ["heads.default.E0s"]),
    "E0s of one element": ({"E0s": {"H": -1.0}}, ["no energy for O (8)"]),
    "E0s twice": ({"E0s": {"H": -1.0, 1: -1.0, "O": 0.0}}, ["H is given twice"]),
    "E0s of no element": ({"E0s": {"Xx": -1.0}}, ["'Xx'", "chemical symbol"]),
    "E0s of element 0": ({"E0s": {0: -1.0}}, ["neither an atomic number"]),
    "E0s that are no numbers": ({"E0s": {"H": "low", "O": 0.0}}, ["E0s.H", "'low'"]),
    "E0s that are not finite": ({"E0s": {"H": float("inf"), "O": 0.0}}, ["E0s.H", "inf"]),
    "E0s without isolated atoms": ({"E0s": None}, ["config_type=IsolatedAtom"]),
    "a label per atom among the others": (
        {"info_keys": {"forces": "REF_forces"}}, ["belongs in arrays_keys"]),
    "a label among those per atom": ({"arrays_keys": {"energy": "E"}}, ["belongs in info_keys"]),
    "an unknown label": ({"info_keys": {"enrgy": "E"}}, ["'enrgy'", "'energy'"]),
    "a label twice": (
        {"arrays_keys": {"atomic_multipoles": "q", "density_coefficients": "q"}}, ["twice"]),
    "a key twice": ({"info_keys": {"energy": "E", "dipole": "E"}}, ["already mapped"]),
    "a key that is a number": ({"info_keys": {"energy": 3}}, ["must be a key of the file"]),
    "a key that is empty": ({"info_keys": {"energy": ""}}, ["must be a key of the file"]),
    "a key that is not there": ({"info_keys": {"energy": "REF_enrgy"}}, ["'REF_energy'"]),
    "a misspelt column": ({"arrays_keys": {"forces": "REF_force"}}, ["'REF_forces'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_heads(files, name):
    changes, words = HEADS[name]
    head = {"train_file": str(files.text(GOOD * 4)), "valid_fraction": 0.5, "E0s": "average"}
    with pytest.raises(InputError) as error:
        load({"default": {**head, **MAPPING, **changes}}, split_seed=0)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


class TestDamagedFiles:
    """Cut, overwritten or of another kind: told before a library maps or runs what is in them."""

    def other_kinds(self, folder):
        (folder / "a.traj").write_text(GOOD)
        (folder / "a.db").write_text(GOOD)
        (folder / "a.h5").write_text(GOOD)
        (folder / "a.lmdb").write_text(GOOD)
        (folder / "a.aselmdb").write_bytes(b"")
        (folder / "a.xyz.gz").write_text(GOOD)
        (folder / "b.xyz").write_bytes(bytes(range(256)))
        (folder / "c.xyz").write_bytes(GOOD.encode("utf-16"))
        with h5py.File(folder / "b.h5", "w") as file:
            file["other"] = 1
        return sorted(folder.iterdir())

    def test_another_kind_than_the_name_says(self, tmp_path):
        paths = self.other_kinds(tmp_path)
        assert len(paths) == 9
        for path in paths:
            assert path.name in refused(path)

    def test_a_database_is_not_made_of_another_file(self, tmp_path):
        path = tmp_path / "empty.db"
        path.write_bytes(b"")
        assert "ASE database" in refused(path)
        assert path.read_bytes() == b""

    @pytest.mark.parametrize("suffix", ["traj", "db", "lmdb", "h5"])
    def test_cut_or_overwritten(self, tmp_path, written, suffix):
        content = written[suffix].read_bytes()
        rng = np.random.default_rng(0)
        path = tmp_path / f"damaged.{suffix}"
        for size in (0, 1, 100, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:size])
            assert str(path) in refused(path)
        for _ in range(30):
            damaged = bytearray(content)
            for _ in range(20):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
            path.write_bytes(damaged)
            try:  # what is changed may be unused
                read_configurations(path, {"energy": "energy"}, {})
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017

    def test_a_cache_entry_of_objects_is_none(self, tmp_path):
        spec = {"dtype": "|O", "shape": [4]}
        (tmp_path / "meta.json").write_text(json.dumps({"arrays": {"x": spec}, "notes": {}}))
        (tmp_path / "x.bin").write_bytes(b"\x01" * 32)
        assert opened(tmp_path) is None

    @pytest.mark.parametrize("dtype", ["", "V8", "<U4", "datetime64", [["a", "<i4"]], 3, None])
    def test_a_cache_entry_of_other_types_is_none(self, tmp_path, dtype):
        spec = {"dtype": dtype, "shape": [4]}
        (tmp_path / "meta.json").write_text(json.dumps({"arrays": {"x": spec}, "notes": {}}))
        (tmp_path / "x.bin").write_bytes(b"\x01" * 32)
        assert opened(tmp_path) is None


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Good files of every format, by the end of their names."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect
    from mace.tools.fairchem_dataset.lmdb_dataset_tools import LMDBDatabase

    folder = tmp_path_factory.mktemp("formats")
    frames = []
    for i in range(12):
        atoms = ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.9 + i / 100]])
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - i, forces=np.zeros((2, 3)))
        frames.append(atoms)
    write(folder / "a.traj", frames)
    database = LMDBDatabase(str(folder / "a.lmdb"))
    with connect(folder / "a.db") as rows:
        for atoms in frames:
            rows.write(atoms)
            database.write(atoms, data={})
    database.close()
    with h5py.File(folder / "a.h5", "w") as file:
        batch = file.create_group("config_batch_0")
        for i, atoms in enumerate(frames):
            group = batch.create_group(f"config_{i}")
            group["atomic_numbers"], group["positions"] = atoms.numbers, atoms.positions
            for name in ("cell", "pbc", "weight", "config_type"):
                group[name] = "None"
            group.create_group("properties")["energy"] = -1.0 - i
            group.create_group("property_weights")["energy"] = 1.0
    return {path.suffix[1:]: path for path in folder.iterdir() if path.stem == "a"}


def test_yaml_is_data(tmp_path):
    """A configuration runs no code and does not grow: it is read by a safe loader."""
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\n"
    assert OmegaConf.create(yaml.safe_load(bomb)).b[0][0] == "x"
    path = tmp_path / "c.yaml"
    path.write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(yaml.YAMLError):
        OmegaConf.load(path)
