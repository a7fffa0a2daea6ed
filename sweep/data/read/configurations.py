"""Labelled configurations from data files, every value checked. Imports no torch."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.cells import has_volume
from sweep.data.labels import VIRIALS, WEIGHTS, Label, Weight
from sweep.data.read.extxyz import Frame
from sweep.data.read.formats import Chunk, chunks
from sweep.data.read.label_values import label_value, numbers, show
from sweep.data.read.mapping import Keys, check_keys, check_mapping
from sweep.errors import InputError

__all__ = ["ISOLATED_ATOM", "Configuration", "read_chunk", "read_configurations"]

Array = NDArray[Any]

ISOLATED_ATOM = "IsolatedAtom"
"""``config_type`` of the frames that give the energy of an isolated atom, as in MACE."""

DEFAULT_TYPE = "Default"
"""``config_type`` of a configuration that names none, as in MACE."""

# Weights of MACE that belong to no label here; they are left alone.
_OTHER_WEIGHTS = ("virials", "charges", "elec_temp", "total_spin", "head")


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration with the labels that it has.

    Attributes:
        atomic_numbers: ``[n]``.
        positions: ``[n, 3]``, Å.
        cell: ``[3, 3]``, rows are the vectors, Å; zeros for a molecule.
        pbc: ``[3]``.
        labels: by their key in a batch (:data:`sweep.data.labels.LABELS`); only those that are
        there.
        weights: all of :data:`sweep.data.labels.WEIGHTS`, 0 where a label is missing.
        weight: ``config_weight``, which acts on every term.
        config_type: a name, for example of the kind of structure.
        file: the file it was read from.
        index: its number in that file, from 0.
    """

    atomic_numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    labels: Mapping[str, Array]
    weights: Mapping[str, NDArray[np.float64]]
    weight: float = 1.0
    config_type: str = DEFAULT_TYPE
    file: str = ""
    index: int = 0

    def __len__(self) -> int:
        """Number of atoms."""
        return len(self.atomic_numbers)

    @property
    def periodic(self) -> bool:
        """Whether it repeats along any of its cell's vectors."""
        return bool(self.pbc.any())

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return f"{self.file}: configuration {self.index}"


def read_configurations(
    file: str | Path,
    info_keys: Mapping[str, str],
    arrays_keys: Mapping[str, str],
    *,
    required: bool = True,
) -> list[Configuration]:
    """Read and check a data file: extxyz, ASE's traj and db, HDF5 or LMDB as MACE writes them.

    A label may be missing in some configurations: it is then absent from ``labels`` and its weight
    is 0. Property weights are read from ``config_<name>_weight``, the weight of a whole
    configuration from ``config_weight``, its type from ``config_type``. The names that ASE reserves
    for its calculators (``energy``, ``forces``, ``stress``, ``dipole``, ...) can be mapped like any
    other.

    Args:
        file: path, also of a compressed extxyz file (gz, bz2, xz), or of a folder of HDF5 or LMDB
            files.
        info_keys: label name -> key in the comment line.
        arrays_keys: label name -> name of a column.
        required: whether some configuration must have each label.

    Raises:
        InputError: the mapping or the file is not valid; names the label, the file's key, the file
            and the configuration (counted from 0).
    """
    mapping = check_mapping(info_keys, arrays_keys)
    configurations: list[Configuration] = []
    keys: Keys = frozenset()
    for chunk in chunks(file):
        found, there = read_chunk(chunk, mapping)
        configurations += found
        keys |= there
    if not configurations:
        raise InputError(f"{file}: holds no configuration")
    if required:
        check_keys(mapping, keys, file)
    return configurations


def read_chunk(chunk: Chunk, mapping: Mapping[Label, str]) -> tuple[list[Configuration], Keys]:
    """The checked configurations of a part of a file, and all keys that they have.

    Raises:
        InputError: see :func:`read_configurations`.
    """
    configurations: list[Configuration] = []
    keys: set[tuple[str, str]] = set()
    for frame in chunk.frames():
        if chunk.own_names:
            frame = _under_mapped_keys(frame, mapping)
        _check_weight_keys(frame, chunk.file)
        configurations.append(_configuration(frame, mapping, chunk.file))
        keys |= {("arrays_keys", name) for name in frame.arrays}
        keys |= {("info_keys", name) for name in frame.info if not _is_weight(name)}
    return configurations, frozenset(keys)


def _values(frame: Frame, label: Label) -> Mapping[str, Any]:
    return frame.arrays if label.per_atom else frame.info


def _is_weight(name: str) -> bool:
    return name == "config_weight" or (name.startswith("config_") and name.endswith("_weight"))


def _under_mapped_keys(frame: Frame, mapping: Mapping[Label, str]) -> Frame:
    """MACE's own files name labels as it does: those are found under the mapped key as well."""
    values: dict[str, dict[str, Any]] = {
        "info_keys": dict(frame.info),
        "arrays_keys": dict(frame.arrays),
    }
    for label, key in mapping.items():
        there = values[label.section]
        names = [name for name in (label.name, *label.aliases) if name in there]
        if key not in there and names:
            there[key] = there[names[0]]
    return dataclasses.replace(frame, info=values["info_keys"], arrays=values["arrays_keys"])


_KNOWN_WEIGHTS = frozenset(
    {f"config_{name}_weight" for weight in WEIGHTS.values() for name in weight.names}
    | {f"config_{name}_weight" for name in _OTHER_WEIGHTS}
    | {"config_weight"}
)


def _check_weight_keys(frame: Frame, file: str) -> None:
    """A misspelt ``config_<name>_weight`` would be ignored in silence."""
    for name in frame.info:
        if _is_weight(name) and name not in _KNOWN_WEIGHTS:
            nearest = difflib.get_close_matches(name, _KNOWN_WEIGHTS, n=1, cutoff=0.85)
            if nearest:
                raise InputError(
                    f"{file}: configuration {frame.index}: '{name}' is not a weight that "
                    f"is read; did you mean '{nearest[0]}'?"
                )


def _configuration(frame: Frame, mapping: Mapping[Label, str], file: str) -> Configuration:
    where = f"{file}: configuration {frame.index}"
    _check_structure(frame, where)
    config_type = str(frame.info.get("config_type", DEFAULT_TYPE))
    if len(frame.numbers) == 1 and config_type == ISOLATED_ATOM:
        # nothing else of it is read, whatever a program wrote for it
        mapping = {label: key for label, key in mapping.items() if label.key == "energy"}
    labels = {
        label.key: label_value(label, key, _values(frame, label)[key], len(frame.numbers), where)
        for label, key in mapping.items()
        if key in _values(frame, label)
    }
    info = frame.info
    if "stress" in labels and not (frame.pbc.any() and has_volume(frame.cell)):
        if labels["stress"].any() and _weight(WEIGHTS["stress_weight"], info, labels, where) > 0:
            raise InputError(
                f"{where}: label 'stress' without a periodic cell of three vectors; remove it or "
                "set config_stress_weight=0"
            )
        del labels["stress"]  # zeros that a program wrote for a molecule
    if "stress" in labels and VIRIALS in mapping:
        labels["stress"] = -labels["stress"] / abs(np.linalg.det(frame.cell))
    if VIRIALS in mapping and "config_virials_weight" in info:
        info = {**info, "config_stress_weight": info["config_virials_weight"]}
    weights = {key: _weight(weight, info, labels, where) for key, weight in WEIGHTS.items()}
    return Configuration(
        atomic_numbers=frame.numbers,
        positions=frame.positions,
        cell=frame.cell,
        pbc=frame.pbc,
        labels=labels,
        weights=weights,
        weight=float(_weight_value("config_weight", frame.info, (), where)),
        config_type=config_type,
        file=file,
        index=frame.index,
    )


def _check_structure(frame: Frame, where: str) -> None:
    if not np.isfinite(frame.positions).all():
        raise InputError(f"{where}: a position is not finite")
    if (frame.numbers < 1).any():
        raise InputError(f"{where}: atom {int(frame.numbers.argmin())} has no chemical element")
    if frame.pbc.any():
        if not np.isfinite(frame.cell).all():
            raise InputError(f"{where}: the cell is not finite")
        lengths = np.linalg.norm(frame.cell, axis=1)
        if (lengths[frame.pbc] == 0).any():
            raise InputError(f"{where}: periodic along a cell vector of length zero")
        if frame.pbc.all() and not has_volume(frame.cell):
            raise InputError(f"{where}: the vectors of the cell lie in one plane")


def _weight(
    weight: Weight, info: Mapping[str, Any], labels: Mapping[str, Array], where: str
) -> NDArray[np.float64]:
    given = [name for name in weight.names if f"config_{name}_weight" in info] or [weight.names[0]]
    values = [_weight_value(f"config_{name}_weight", info, weight.shape, where) for name in given]
    if any((value != values[0]).any() for value in values):
        raise InputError(
            f"{where}: {' and '.join(f'config_{name}_weight' for name in given)} differ; keep one"
        )
    # Checked above even where it is not used, so that a bad value does not hide behind a missing
    # label.
    return values[0] if all(key in labels for key in weight.labels) else np.zeros(weight.shape)


def _weight_value(
    name: str, info: Mapping[str, Any], shape: tuple[int, ...], where: str
) -> NDArray[np.float64]:
    value = numbers(info.get(name, 1.0))
    if value is None or not np.isfinite(value).all() or (value < 0).any():
        got = np.asarray(info[name]).tolist()
        raise InputError(f"{where}: {name} must be finite and not negative; got {got!r}")
    if value.size == 1:
        return np.full(shape, value.item())
    if value.size == np.prod(shape, dtype=int):
        return value.reshape(shape)
    sizes = "one number" + (f" or {show(shape)}" if shape else "")
    raise InputError(f"{where}: {name} has shape {show(value.shape)}; expected {sizes}")
