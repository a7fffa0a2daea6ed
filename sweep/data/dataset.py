"""The training, validation and test set of a head, split and checked. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweep.data.energies import atomic_energies, isolated_atoms, symbol
from sweep.data.labels import LABELS, find_label
from sweep.data.parallel import Report, silent
from sweep.data.read.tables import read_table
from sweep.data.table import Table, tabulate
from sweep.data.type_weights import check_type_weights, check_types, note_of_types, weigh_types
from sweep.errors import InputError, unknown

__all__ = ["SPLITS", "Coverage", "DataSet", "load"]

SPLITS = ("train", "valid", "test")

_HEAD_KEYS = (
    "train_file",
    "valid_file",
    "test_file",
    "valid_fraction",
    "E0s",
    "info_keys",
    "arrays_keys",
    "config_type_weights",
)


@dataclass(frozen=True)
class Coverage:
    """How much of a split carries a label.

    Attributes:
        label: name as users write it.
        split: ``train``, ``valid`` or ``test``.
        labelled: configurations that have the label.
        total: configurations of the split.
        minimum: smallest entry; None without any.
        maximum: largest entry; None without any.
    """

    label: str
    split: str
    labelled: int
    total: int
    minimum: float | None
    maximum: float | None

    @property
    def all_zero(self) -> bool:
        """Every entry is zero: right for neutral systems, or a label that was never computed."""
        return self.minimum == 0.0 and self.maximum == 0.0

    @property
    def constant(self) -> bool:
        """All entries are the same, so that there is nothing to learn from them."""
        return self.minimum is not None and self.minimum == self.maximum


@dataclass(frozen=True, eq=False)
class DataSet:
    """The configurations of one head.

    Attributes:
        name: of the head.
        train: training set, without isolated atoms.
        valid: validation set.
        test: test set; empty if there is no ``test_file``.
        atomic_energies: atomic number -> E0 in eV, ascending; its keys are the elements of
        ``train``.
        labels: batch keys of the labels that the head maps.
        notes: what was done with configurations that are in the files but in no split.
    """

    name: str
    train: Table
    valid: Table
    test: Table
    atomic_energies: Mapping[int, float]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers of the training set, ascending."""
        return tuple(self.atomic_energies)

    @property
    def mean_atoms(self) -> float:
        """Mean number of atoms in the training set."""
        return float(self.train.n_atoms.mean())

    def splits(self) -> Iterator[tuple[str, Table]]:
        """The splits that have configurations, by name."""
        for split in SPLITS:
            if table := getattr(self, split):
                yield split, table

    def coverage(self) -> list[Coverage]:
        """One row per mapped label and split that has configurations."""
        return [
            _coverage(key, split, table) for key in self.labels for split, table in self.splits()
        ]


def load(
    heads: Mapping[str, Mapping[str, Any]],
    *,
    split_seed: int,
    cache_dir: str | Path | None = None,
    report: Report = silent,
) -> DataSet:
    """Read, split and check the data of the configuration's one head.

    Frames of ``config_type=IsolatedAtom`` are taken out of the training file, as MACE does: they
    carry energies of isolated atoms, which win over ``E0s: average``, not training data.
    The weight of a configuration is its ``config_weight`` times that of its type. Configurations of
    weight 0 are taken out of every split: whatever is computed of a split is as if they were not in
    the file. Any other weight acts in the loss alone.

    Args:
        heads: name -> ``train_file``, ``valid_file`` or ``valid_fraction``, and optionally
        ``test_file``,
            ``E0s``, ``info_keys``, ``arrays_keys``, ``config_type_weights``. ``valid_fraction``
            counts only without a ``valid_file``.
        split_seed: of the random split into training and validation set; the split is MACE's for
            this seed.
        cache_dir: where large files are kept as arrays, which all processes share; None to hold
            them in memory.
        report: is told how far the reading of large files is.

    Raises:
        InputError: names the key, or the file and the configuration.
    """
    if len(heads) != 1:
        names = ", ".join(map(str, heads)) or "none"
        raise InputError(f"heads: exactly one data set can be trained at a time; got {names}")
    ((name, head),) = heads.items()
    where = f"heads.{name}"
    for key in head:
        if key not in _HEAD_KEYS:
            raise InputError(unknown("key", str(key), _HEAD_KEYS, where=where))
    info_keys, arrays_keys = head.get("info_keys") or {}, head.get("arrays_keys") or {}
    if not info_keys and not arrays_keys:
        raise InputError(f"{where}: info_keys and arrays_keys are empty; map at least one label")
    if not head.get("train_file"):
        raise InputError(f"{where}.train_file: no file is given")
    type_weights = check_type_weights(
        head.get("config_type_weights"), f"{where}.config_type_weights"
    )

    def read(key: str) -> Table:
        file = head.get(key)
        if not file:
            return tabulate([])
        table = read_table(
            file,
            info_keys,
            arrays_keys,
            cache_dir=cache_dir,
            report=report,
            required=key == "train_file",  # what validation needs is known with the objective
        )
        # The cache holds what is in the file; all that trains reads the weights from this table.
        return weigh_types(table, type_weights)

    everything = read("train_file")
    check_types(type_weights, everything, f"{where}.config_type_weights")
    isolated = isolated_atoms(everything)
    train = everything.take(~isolated)
    if not train:
        raise InputError(f"{head['train_file']}: holds isolated atoms only; nothing to train on")
    if head.get("valid_file"):
        valid = read("valid_file")
    else:
        train, valid = _split(train, head.get("valid_fraction"), split_seed, where)
    notes: list[str] = []
    weight = "config_weight" + (" × config_type_weights" if type_weights else "")
    splits = [
        _weighted(split, table, notes, weight)
        for split, table in zip(SPLITS, (train, valid, read("test_file")), strict=True)
    ]
    atoms = everything.take(isolated)
    e0s = atomic_energies(head.get("E0s"), splits[0], atoms, where=f"{where}.E0s")
    if type_weights:
        notes.append(note_of_types(type_weights, splits[0]))
    if len(atoms):
        notes.append(_isolated_note(head.get("E0s"), atoms))
    data = DataSet(
        name=str(name),
        train=splits[0],
        valid=splits[1],
        test=splits[2],
        atomic_energies=e0s,
        labels=_mapped([*info_keys, *arrays_keys]),
        notes=tuple(notes),
    )
    _check_elements(data, where, given=bool(head.get("valid_file")))
    return data


def _weighted(split: str, table: Table, notes: list[str], weight: str) -> Table:
    """The configurations that count at all; ``weight`` names what their weights are made of."""
    counts = table.graphs("weight") > 0
    if counts.all():
        return table
    if not counts.any():
        raise InputError(f"{table[0].file}: {weight} is 0 in every {split} configuration")
    notes.append(f"{split}: {int((~counts).sum())} configurations of {weight} 0 are left out")
    return table.take(counts)


def _isolated_note(e0s: Any, isolated: Table) -> str:
    """Which use was made of isolated atoms."""
    names = ", ".join(map(symbol, np.unique(isolated.atoms("atomic_numbers"))))
    used = e0s is None or e0s == "average"
    how = "their energies are the E0s" if used else "not used: E0s are given in the configuration"
    return f"isolated atoms of {names}: {how}"


def _mapped(names: list[str]) -> tuple[str, ...]:
    """Batch keys of mapped labels, in the order of the table."""
    mapped = {label.key for name in names if (label := find_label(name)) is not None}
    return tuple(key for key in LABELS if key in mapped)


def _split(table: Table, fraction: Any, seed: int, where: str) -> tuple[Table, Table]:
    """MACE's random split: the same configurations for the same seed and fraction."""
    if fraction is None:
        raise InputError(f"{where}: give a valid_file or a valid_fraction")
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise InputError(f"{where}.valid_fraction: must be between 0 and 1; got {fraction!r}")
    size = len(table)
    if size < 2:
        raise InputError(
            f"{table[0].file}: one configuration cannot be split into training and validation set"
        )
    n_train = min(size - int(fraction * size), size - 1)
    order = list(range(size))
    np.random.default_rng(seed).shuffle(order)
    return table.take(np.array(order[:n_train])), table.take(np.array(order[n_train:]))


def _check_elements(data: DataSet, where: str, *, given: bool) -> None:
    present = ", ".join(map(symbol, data.elements))
    for split, table in data.splits():
        numbers = table.atoms("atomic_numbers")
        lacking = np.flatnonzero(~np.isin(numbers, data.elements))
        if lacking.size:
            graph = table.graph_of_atom[lacking]
            way_out = ""
            if split == "valid" and not given:
                way_out = (
                    f"; the split is random: give another split_seed, a {where}.valid_file, or "
                    "more configurations with this element"
                )
            lowest = numbers[lacking[graph == graph[0]]].min()
            raise InputError(
                f"{table.where(graph[0])} ({split} set) has the element {symbol(lowest)}, "
                f"which the training set lacks; it has {present}{way_out}"
            )


def _coverage(key: str, split: str, table: Table) -> Coverage:
    labelled = table.take(table.has(key))
    minimum = maximum = None
    if len(labelled):
        values = (labelled.atoms if LABELS[key].per_atom else labelled.graphs)(key)
        if key == "density_coefficients":
            # columns that a configuration does not have are no zeros of its label
            widths = np.repeat(labelled.graphs("n_multipoles"), labelled.n_atoms)
            values = values[np.arange(values.shape[1]) < widths[:, None]]
        minimum, maximum = float(values.min()), float(values.max())
    return Coverage(
        label=LABELS[key].name,
        split=split,
        labelled=len(labelled),
        total=len(table),
        minimum=minimum,
        maximum=maximum,
    )
