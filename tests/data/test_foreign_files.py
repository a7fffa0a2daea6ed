"""Files of other programs: read right, or refused in one line; never taken for something else."""

from __future__ import annotations

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from sweep.data.audit import audit
from sweep.data.dataset import load
from sweep.data.read.configurations import read_configurations
from sweep.errors import InputError

CELL = 'Lattice="9 0 0 0 9 0 0 0 9"'
ATOMS = "H 0 0 0\nH 0 0 0.7\n"
INFO, ARRAYS = {"energy": "REF_energy"}, {"forces": "REF_forces"}


def frame(comment: str, atoms: str = ATOMS) -> str:
    return f"{len(atoms.splitlines())}\n{comment}\n{atoms}"


def one(path, info=INFO, arrays=None):
    (configuration,) = read_configurations(path, info, arrays or {})
    return configuration


@pytest.mark.parametrize(
    "flags",
    ["pbc=FFF", "PBC=FFF", 'PBC="F F F"', 'pbc="[F, F, F]"', "pbc=[False, False, False]",
     'pbc="[False, False, False]"', "pbc=fff", "pbc=000", 'pbc="0 0 0"', "pbc=F", "pbc = F",
     "pbc={F F F}", "pbc=(F,F,F)", 'pbc="_JSON [false, false, false]"', 'pbc="F,F,F"',
     "Pbc='.FALSE. .FALSE. .FALSE.'", f'{CELL}pbc="F F F"'],
)  # fmt: skip
def test_a_box_without_periodicity(files, flags):
    cell = "" if CELL in flags else CELL
    read = one(files.text(frame(f"{cell} {flags} REF_energy=-1")))
    assert read.pbc.tolist() == [False, False, False]
    np.testing.assert_array_equal(read.cell, 9 * np.eye(3))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("", "TTT"), ('pbc="T T F"', "TTF"), ("pbc=TTF", "TTF"), ("pbc=110", "TTF"), ("pbc=T", "TTT")],
)
def test_other_flags(files, flags, expected):
    read = one(files.text(frame(f"{CELL} {flags} REF_energy=-1")))
    assert "".join("FT"[int(flag)] for flag in read.pbc) == expected


def test_columns_charge_and_charges_are_two(files):
    text = frame(
        "Properties=species:S:1:pos:R:3:charges:R:1:charge:R:1 REF_energy=-1",
        "H 0 0 0 1 4\nH 0 0 0.7 2 5\n",
    )
    for column, values in (("charges", [1, 2]), ("charge", [4, 5])):
        read = one(files.text(text), INFO, {"atomic_multipoles": column})
        np.testing.assert_array_equal(read.labels["density_coefficients"].ravel(), values)


SIX = "1 2 3 4 5 6"
FULL = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])


@pytest.mark.parametrize("key", ["stress", "virial", "REF_stress"])
@pytest.mark.parametrize(
    "value", [f'"{SIX}"', '"1 6 5 6 2 4 5 4 3"', '"_JSON [[1, 2, 3, 4, 5, 6]]"',
              "[[1, 6, 5], [6, 2, 4], [5, 4, 3]]"],
)  # fmt: skip
def test_a_stress_in_every_form_under_every_name(files, key, value):
    read = one(files.text(frame(f"{CELL} {key}={value}")), {"stress": key})
    np.testing.assert_array_equal(read.labels["stress"], FULL)
    read = one(files.text(frame(f"{CELL} {key}={value} config_virials_weight=2")), {"virials": key})
    np.testing.assert_allclose(read.labels["stress"], -FULL / 729)
    assert read.weights["stress_weight"] == 2


def test_stress_and_virials_are_one_quantity(files):
    path = files.text(frame(f'{CELL} stress="{SIX}" virials="{SIX}"'))
    with pytest.raises(InputError, match="'stress' is the same quantity; keep one"):
        one(path, {"stress": "stress", "virials": "virials"})


@pytest.mark.parametrize("value", ['"1 2 3"', '"_JSON [[1, 2, 3]]"', "[[1, 2, 3]]", "{1 2 3}"])
def test_a_dipole_in_one_row(files, value):
    np.testing.assert_array_equal(
        one(files.text(frame(f"mu={value}")), {"dipole": "mu"}).labels["dipole"], [1, 2, 3]
    )


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "bom.xyz"
    path.write_bytes(b"\xef\xbb\xbf" + frame("REF_energy=-1").encode())
    assert one(path).labels["energy"] == -1


def test_names_with_markup_are_names(files):
    kind = '<script>alert(1)</script> [red] \x1b[31m ../../x "y"'
    quoted = kind.replace('"', '\\"')
    assert one(files.text(frame(f'REF_energy=-1 config_type="{quoted}"'))).config_type == kind


def test_what_stands_twice_alike_is_once(files):
    text = frame("Properties=species:S:1:pos:R:3:q:R:1:q:R:1 REF_energy=-1 REF_energy=-1.0",
                 "H 0 0 0 1 1\nH 0 0 0.7 2 2\n")  # fmt: skip
    assert one(files.text(text), INFO, {"atomic_multipoles": "q"}).labels["energy"] == -1


def isolated(symbol, energy, **info):
    atoms = ase.Atoms(symbol, cell=[12] * 3, info={"REF_energy": energy, **info})
    atoms.info["config_type"] = "IsolatedAtom"
    return atoms


def test_of_an_isolated_atom_the_energy_is_read(files, water):
    path = files.write(
        isolated("H", -13.0, REF_stress=np.ones(6), REF_dipole=np.zeros(2)),
        isolated("O", -430.0),
        water(1, REF_stress=np.zeros(6), REF_dipole=np.ones(3)),
    )
    info = {**INFO, "stress": "REF_stress", "dipole": "REF_dipole"}
    read = read_configurations(path, info, ARRAYS)
    assert [sorted(c.labels) for c in read] == [["energy"], ["energy"],
                                                ["dipole", "energy", "forces"]]  # fmt: skip
    assert read[2].weights["stress_weight"] == 0  # zeros of a molecule


HEAD = {"info_keys": INFO, "arrays_keys": ARRAYS, "E0s": "average"}


def load_one(**head):
    return load({"default": {**HEAD, **head}}, split_seed=0)


def test_isolated_atoms_of_some_elements_are_no_average(files, water):
    path = files.write(isolated("H", -13.0), water(1), water(2), water(3))
    with pytest.raises(InputError, match=r"isolated atoms, whose energies win .* none of O"):
        load_one(train_file=str(path), valid_fraction=0.4)


def test_configurations_of_weight_zero_count_nowhere(files, water):
    broken = water(9, config_weight=0.0)
    broken.info["REF_energy"] = -9e9
    clean = load_one(
        train_file=str(files.write(*map(water, range(6)))),
        valid_file=str(files.write(water(7), water(8))),
        test_file=str(files.write(water(10))),
    )
    dirty = load_one(
        train_file=str(files.write(broken, *map(water, range(6)))),
        valid_file=str(files.write(water(7), broken, water(8))),
        test_file=str(files.write(water(10), broken)),
    )
    assert dirty.atomic_energies == clean.atomic_energies
    for (_, one), (_, other) in zip(clean.splits(), dirty.splits(), strict=True):
        assert [c.labels["energy"] for c in one] == [c.labels["energy"] for c in other]
    assert dirty.notes == tuple(
        f"{split}: 1 configurations of config_weight 0 are left out"
        for split in ("train", "valid", "test")
    )
    with pytest.raises(InputError, match="config_weight is 0 in every valid configuration"):
        load_one(train_file=str(files.write(water(1))), valid_file=str(files.write(broken, broken)))


def test_a_label_may_be_missing_in_all_of_validation_and_test(files, water):
    with_dipole = str(files.write(water(1, mu=np.ones(3)), water(2, mu=np.zeros(3))))
    without = str(files.write(water(3), water(4)))
    keys = {"info_keys": {**INFO, "dipole": "mu"}}
    data = load_one(train_file=with_dipole, valid_file=without, test_file=without, **keys)
    assert not data.valid.has("dipole").any()
    with pytest.raises(InputError, match="no configuration has the comment-line key 'mu'"):
        load_one(train_file=without, valid_file=with_dipole, **keys)


def test_an_element_only_in_the_random_validation_set_has_a_way_out(files, water):
    argon = water(5)
    argon.numbers[0] = 18
    frames = [water(seed) for seed in range(8)]
    order = list(range(8))
    np.random.default_rng(0).shuffle(order)
    frames[order[-1]] = argon
    path = str(files.write(*frames))
    with pytest.raises(InputError, match=r"Ar.*split_seed, a heads.default.valid_file"):
        load_one(train_file=path, valid_fraction=0.2)


def test_the_home_folder_in_paths(files, water, monkeypatch):
    monkeypatch.setenv("HOME", str(files.folder))
    files.write(*map(water, range(4)))
    assert len(load_one(train_file="~/frames_1.xyz", valid_fraction=0.3).train) == 3


def calculated(atoms):
    calculator = SinglePointCalculator(
        atoms, energy=atoms.info["REF_energy"], forces=atoms.arrays["REF_forces"]
    )
    bare = ase.Atoms(atoms.numbers, atoms.positions, info={"charge": 1.0, "config_weight": 0.5})
    bare.calc = calculator
    return bare


def test_trajectories_and_databases_of_ase(files, water, tmp_path):
    frames = [calculated(water(seed)) for seed in range(5)]
    ase.io.write(tmp_path / "a.traj", frames)
    with connect(tmp_path / "a.db") as database:
        for atoms in frames:
            database.write(atoms, data={"field": [1.0, 2.0, 3.0]}, key_value_pairs={"q": 1.0})
    for name, charge in (("a.traj", "charge"), ("a.db", "q")):
        info = {"energy": "energy", "total_charge": charge}
        read = read_configurations(tmp_path / name, info, {"forces": "forces"})
        assert len(read) == 5
        for configuration, atoms in zip(read, frames, strict=True):
            np.testing.assert_allclose(configuration.positions, atoms.positions)
            np.testing.assert_allclose(configuration.labels["forces"], atoms.get_forces())
            assert configuration.labels["energy"] == atoms.get_potential_energy()
            assert configuration.labels["total_charge"] == 1
    info = {"energy": "energy", "external_field": "field"}
    assert read_configurations(tmp_path / "a.db", info, {})[0].labels["external_field"].sum() == 6


def remarks(files, *frames, info=None, arrays=None, valid=None):
    path = str(files.write(*frames))
    data = load_one(
        train_file=path,
        valid_file=str(files.write(*valid)) if valid else path,
        info_keys={**INFO, **(info or {})},
        arrays_keys={**ARRAYS, **(arrays or {})},
    )
    return [f"{r.label}: {r.text}" for r in audit(data)]


def balanced(atoms):
    atoms.arrays["REF_forces"] -= atoms.arrays["REF_forces"].mean(axis=0)
    return atoms


class TestAudit:
    """Each oddity is said with its number, and sound data with nothing at all."""

    def sound(self, water, *seeds, **info):
        return [balanced(water(seed, **info)) for seed in seeds]

    def test_sound_data_have_no_remark(self, files, water):
        assert remarks(files, *self.sound(water, 1, 2), valid=self.sound(water, 3)) == []

    def test_the_same_frame_in_two_splits(self, files, water):
        (said,) = remarks(files, *self.sound(water, 1, 2), valid=self.sound(water, 3, 2))
        assert "1 of 2 structures of valid are in train, too" in said

    def test_a_molecule_in_a_box(self, files, water):
        frames = self.sound(water, 1, 2)
        frames[1].set_cell([40] * 3)
        frames[1].pbc = True
        (said,) = remarks(files, *frames, valid=self.sound(water, 3))
        assert "1 of 2 periodic" in said
        assert "21333" in said
        assert "pbc_handling" in said

    def test_net_forces(self, files, water):
        frames = self.sound(water, 1, 2)
        frames[0].arrays["REF_forces"] += [0.5, 0, 0]
        (said,) = remarks(files, *frames, valid=self.sound(water, 3))
        assert said.startswith("forces: train: they do not sum to zero in 1 of 2: up to 1.5 eV/Å")

    def test_charges(self, files, water):
        frames = self.sound(water, 1, 2, q=0.4)
        for atoms in frames:
            atoms.arrays["m"] = np.array([-0.6, 0.3, 0.3])
        said = remarks(files, *frames, info={"total_charge": "q"},
                       arrays={"atomic_multipoles": "m"}, valid=self.sound(water, 3))  # fmt: skip
        assert any("2 are no whole numbers of e, such as 0.4" in text for text in said)
        assert any("do not sum to total_charge in 2 of 2" in text for text in said)

    def test_spins_and_electrons(self, files, water):
        said = remarks(files, *self.sound(water, 1, 2, s=2), info={"total_spin": "s"},
                       valid=self.sound(water, 3))  # fmt: skip
        assert any("2S + 1 = 2 with 10 electrons" in text for text in said)

    def test_dipoles_that_are_not_those_of_the_charges(self, files, water):
        frames = self.sound(water, 1, 2)
        for factor, atoms in zip((1.0, 4.803), frames, strict=True):  # the second in debye
            atoms.arrays["m"] = np.column_stack([[-0.6, 0.3, 0.3], np.zeros((3, 3))])
            atoms.info["mu"] = factor * atoms.arrays["m"][:, 0] @ atoms.positions
        keys = {"info": {"dipole": "mu"}, "arrays": {"atomic_multipoles": "m"}}
        (said,) = remarks(files, *frames, **keys, valid=self.sound(water, 3))
        assert "dipole: train: 1 of 2 are not those of the atomic multipoles" in said

    def cells(self, water, sign=1.0, unit=1.0):
        rng = np.random.default_rng(0)
        for seed in range(12):
            atoms = balanced(water(seed))
            size = 3 + 0.05 * rng.normal()
            atoms.set_cell([size] * 3)
            atoms.pbc = True
            atoms.info["REF_stress"] = sign * unit * (size - 3) * np.eye(3) * 0.1
            yield atoms

    def test_stress_of_the_wrong_sign_or_unit(self, files, water):
        info, valid = {"stress": "REF_stress"}, self.sound(water, 30)
        assert remarks(files, *self.cells(water), info=info, valid=valid) == []
        (said,) = remarks(files, *self.cells(water, sign=-1), info=info, valid=valid)
        assert "the pressure grows with the volume" in said
        (said,) = remarks(files, *self.cells(water, unit=1602), info=info, valid=valid)
        assert "is it in GPa or kbar" in said

    def test_energies_that_follow_the_charge(self, files, water):
        frames = [*self.sound(water, *range(4), q=0), *self.sound(water, *range(4, 8), q=1)]
        for atoms in frames:
            atoms.info["REF_energy"] -= 50 * atoms.info["q"]
        said = remarks(files, *frames, info={"total_charge": "q"}, valid=self.sound(water, 30))
        assert any("follows the total charge" in text and "at 1 e" in text for text in said)

    def test_outliers(self, files, water):
        frames = self.sound(water, *range(20))
        frames[7].info["REF_energy"] = -9e5
        frames[8].arrays["REF_forces"] = np.array([[0, 0, -900.0], [0, 0, 900.0], [0, 0, 0]])
        said = remarks(files, *frames, valid=self.sound(water, 30))
        assert any(
            text.startswith("energy: train: 1 of 20 are more than 50 spreads") for text in said
        )
        assert any(text.startswith("forces: train: 900 eV/Å on O") for text in said)

    def test_weights_act_in_the_loss_alone(self, files, water):
        frames = [*self.sound(water, 1), *self.sound(water, 2, config_weight=0.5)]
        (said,) = remarks(files, *frames, valid=self.sound(water, 3))
        assert "weights of configurations (config_weight, config_type_weights) are not 1" in said
        assert "in 1 of 2" in said
