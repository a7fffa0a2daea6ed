"""Files in another unit: said with the ratio and the unit; sound data have no remark."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import yaml

from sweep.config.stages import CONF_DIR
from sweep.data import shipped
from sweep.data.audit import audit
from sweep.data.dataset import DataSet, load
from sweep.data.units import odd_units

SHIPPED = ("organics", "water_boxes", "water_clusters")


def load_shipped(name: str, **changes: object) -> DataSet:
    text = (CONF_DIR / "data" / f"{name}.yaml").read_text()
    (head,) = yaml.safe_load(text)["heads"].values()
    files = {f"{s}_file": str(shipped(f"{name}/{s}.xyz")) for s in ("train", "valid", "test")}
    return load({name: {**head, **files, **changes}}, split_seed=0)


@pytest.fixture(scope="module")
def sound() -> Callable[[str], DataSet]:
    data = {name: load_shipped(name) for name in SHIPPED}
    return data.__getitem__


def scaled(data: DataSet, split: str, **factors: float) -> DataSet:
    """A split with columns in another unit."""
    table = getattr(data, split)
    arrays = {**table.columns.arrays}
    for name, factor in factors.items():
        arrays[name] = arrays[name] * factor
    return replace(data, **{split: table.over(replace(table.columns, arrays=arrays))})


def said(data: DataSet) -> list[str]:
    return [f"{remark.label}: {remark.text}" for remark in audit(data)]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_data_have_no_remark(sound, name):
    assert said(sound(name)) == []


UNITS = [
    ("energy", 1000, "meV", "eV"),
    ("energy", 1 / 27.2114, "eV", "Hartree"),
    ("energy", 23.06, "kcal/mol", "eV"),
    ("energy", 96.49, "kJ/mol", "eV"),
    ("forces", 1000, "meV/Å", "eV/Å"),
    ("forces", 1 / 51.4221, "eV/Å", "Hartree/bohr"),
    ("forces", 23.06, "kcal/mol/Å", "eV/Å"),
    ("forces", 96.49, "kJ/mol/Å", "eV/Å"),
    ("dipole", 4.80320, "Debye", "e·Å"),
]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize(("label", "factor", "small", "large"), UNITS)
def test_a_split_in_another_unit(sound, label, factor, small, large, split):
    remarks = said(scaled(sound("water_clusters"), split, **{label: factor}))
    remarks = [text for text in remarks if "the spread in" in text]
    others = ["valid", "test"] if split == "train" else [split]
    assert [text.split(": ")[:2] for text in remarks] == [[label, other] for other in others]
    for text, other in zip(remarks, others, strict=True):
        against = other if split == "train" else "train"
        larger, smaller = (split, against) if factor > 1 else (against, split)
        assert f"the spread in {larger} is" in text
        assert f"times that in {smaller}: " in text
        assert f"{small}, {smaller} in {large} (factor " in text
        assert "\n" not in text


@pytest.mark.parametrize("factor", [1 / 2.4, 0.5, 1.5, 2.4])
@pytest.mark.parametrize("label", ["energy", "forces", "dipole"])
def test_a_factor_below_three_is_no_remark(sound, label, factor):
    assert [*odd_units(scaled(sound("water_clusters"), "valid", **{label: factor}))] == []


def test_a_ratio_between_no_units_is_said_without_one(sound):
    (text,) = said(scaled(sound("water_clusters"), "valid", forces=7.0))
    assert text.startswith("forces: valid: the spread in valid is ")
    assert "factor" not in text


def test_e0s_of_a_split_in_another_unit_do_not_hide_it():
    """Energies of all splits less E0s that were fitted to a training set in Hartree."""
    right = load_shipped("organics")
    wrong = scaled(right, "train", energy=1 / 27.2114)
    e0s = {z: energy / 27.2114 for z, energy in right.atomic_energies.items()}
    remarks = said(replace(wrong, atomic_energies=e0s))
    near = [text for text in remarks if text.startswith("energy: ") and "Hartree" in text]
    assert len(near) == 2  # of valid and test


def test_fewer_than_ten_have_no_spread(sound):
    data = scaled(sound("water_clusters"), "valid", energy=1000.0, dipole=1000.0)
    few = replace(data, valid=data.valid[:3])
    assert not [text for text in said(few) if "the spread in" in text]


@pytest.mark.parametrize("name", SHIPPED)
def test_all_in_milli_electronvolt(sound, name):
    data = sound(name)
    for split in ("train", "valid", "test"):
        data = scaled(data, split, energy=1000.0, forces=1000.0)
    remarks = said(replace(data, atomic_energies={z: 1000 * e for z, e in
                                                  data.atomic_energies.items()}))  # fmt: skip
    sizes = [text for text in remarks if "root mean square" in text]
    assert [text.split(": ")[1] for text in sizes] == ["train", "valid", "test"]
    assert all(text.startswith("forces: ") and "meV/Å" in text for text in sizes)
    assert not [text for text in remarks if "the spread in" in text]


def test_e0s_in_another_unit_than_the_energies(sound):
    data = sound("organics")
    e0s = {z: energy / 27.2114 for z, energy in data.atomic_energies.items()}
    remarks = said(replace(data, atomic_energies=e0s))
    for split in ("train", "valid", "test"):
        spread = float(np.std(_less(getattr(data, split), e0s)))
        text = f"energy: {split}: less E0s they spread by {spread:.3g} eV/atom"
        assert any(remark.startswith(text) for remark in remarks) == (spread > 100)


def _less(table, e0s) -> list[float]:
    return [
        (float(c.labels["energy"]) - math.fsum(e0s[int(z)] for z in c.atomic_numbers)) / len(c)
        for c in table
    ]


def test_energies_that_spread_by_more_than_any_bond(sound):
    data = sound("water_clusters")
    for split in ("train", "valid", "test"):
        data = scaled(data, split, energy=1e5)
    e0s = {z: 1e5 * energy for z, energy in data.atomic_energies.items()}
    remarks = said(replace(data, atomic_energies=e0s))
    found = [text for text in remarks if "less E0s they spread by" in text]
    assert len(found) == 3
    assert all("kcal/mol" in text for text in found)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("factor", [1.889726, 0.529177])
def test_positions_in_bohr(sound, name, split, factor):
    data = scaled(sound(name), split, positions=factor, cell=factor)
    remarks = [text for text in said(data) if "nearest neighbours" in text]
    others = ["valid", "test"] if split == "train" else ["test"]
    assert [text.split(": ")[1] for text in remarks] == others
    larger = (split == "train") == (factor > 1)
    for text, other in zip(remarks, others, strict=True):
        assert f"is {'train' if larger else other} in bohr" in text


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.5, 3.0])
def test_other_distances_are_no_bohr(sound, factor):
    data = scaled(sound("water_clusters"), "valid", positions=factor)
    assert not [text for text in said(data) if "bohr" in text]
