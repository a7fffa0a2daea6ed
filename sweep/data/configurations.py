"""Labelled configurations from extxyz files, every value checked. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.extxyz import Frame, read_frames
from sweep.data.labels import WEIGHTS, Label, Weight, find_label, label_names
from sweep.errors import InputError, unknown

__all__ = ["Configuration", "read_configurations"]

Array = NDArray[Any]

DEFAULT_TYPE = "Default"
"""``config_type`` of a configuration that names none, as in MACE."""

_MULTIPOLE_COLUMNS = (1, 4, 9, 16)
# Order of ASE's six stress components: xx, yy, zz, yz, xz, xy.
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
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
    file: str | Path, info_keys: Mapping[str, str], arrays_keys: Mapping[str, str]
) -> list[Configuration]:
    """Read and check an extxyz file.

    A label may be missing in some configurations: it is then absent from ``labels`` and its weight
    is 0. Property weights are read from ``config_<name>_weight``, the weight of a whole
    configuration from ``config_weight``, its type from ``config_type``. The names that ASE reserves
    for its calculators (``energy``, ``forces``, ``stress``, ``dipole``, ...) can be mapped like any
    other.

    Args:
        file: path, also of a compressed file (gz, bz2, xz).
        info_keys: label name -> key in the comment line.
        arrays_keys: label name -> name of a column.

    Raises:
        InputError: the mapping or the file is not valid; names the label, the file's key, the file
            and the configuration (counted from 0).
    """
    mapping = _check_mapping(info_keys, arrays_keys)
    frames = list(read_frames(file))
    if not frames:
        raise InputError(f"{file}: holds no configuration")
    for label, key in mapping.items():
        _check_key(label, key, frames, str(file))
    _check_weight_keys(frames, str(file))
    return [_configuration(frame, mapping, str(file)) for frame in frames]


def _check_mapping(
    info_keys: Mapping[str, str], arrays_keys: Mapping[str, str]
) -> dict[Label, str]:
    mapping: dict[Label, str] = {}
    for section, keys in (("info_keys", info_keys), ("arrays_keys", arrays_keys)):
        for name, key in keys.items():
            label = find_label(name)
            if label is None:
                raise InputError(unknown("label", name, label_names(), where=section))
            if label.section != section:
                kind = "per atom" if label.per_atom else "per configuration"
                raise InputError(f"{section}.{name}: a label {kind} belongs in {label.section}")
            if label in mapping:
                raise InputError(f"{section}.{name}: label '{label.name}' is mapped twice")
            if not isinstance(key, str) or not key:
                raise InputError(f"{section}.{name}: must be a key of the file; got {key!r}")
            for other, taken in mapping.items():
                if taken == key and other.section == section:
                    raise InputError(
                        f"{section}.{name}: key '{key}' is already mapped to label '{other.name}'"
                    )
            mapping[label] = key
    return mapping


def _check_key(label: Label, key: str, frames: list[Frame], file: str) -> None:
    """The key of a label must be in at least one frame."""
    if any(key in _values(frame, label) for frame in frames):
        return
    kind = "column" if label.per_atom else "comment-line key"
    there = sorted(
        {name for frame in frames for name in _values(frame, label) if not _is_weight(name)}
    )
    nearest = difflib.get_close_matches(key, there, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ";"
    raise InputError(
        f"{file}: no configuration has the {kind} '{key}' that {label.section}.{label.name} names"
        f"{hint} there: {', '.join(there) or 'none'}"
    )


def _values(frame: Frame, label: Label) -> Mapping[str, Any]:
    return frame.arrays if label.per_atom else frame.info


def _is_weight(name: str) -> bool:
    return name == "config_weight" or (name.startswith("config_") and name.endswith("_weight"))


def _check_weight_keys(frames: Iterable[Frame], file: str) -> None:
    """A misspelt ``config_<name>_weight`` would be ignored in silence."""
    known = {f"config_{name}_weight" for weight in WEIGHTS.values() for name in weight.names}
    known |= {f"config_{name}_weight" for name in _OTHER_WEIGHTS} | {"config_weight"}
    for frame in frames:
        for name in frame.info:
            if _is_weight(name) and name not in known:
                nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
                if nearest:
                    raise InputError(
                        f"{file}: configuration {frame.index}: '{name}' is not a weight that "
                        f"is read; did you mean '{nearest[0]}'?"
                    )


def _configuration(frame: Frame, mapping: Mapping[Label, str], file: str) -> Configuration:
    where = f"{file}: configuration {frame.index}"
    _check_structure(frame, where)
    labels = {
        label.key: _label(label, key, _values(frame, label)[key], len(frame.numbers), where)
        for label, key in mapping.items()
        if key in _values(frame, label)
    }
    weights = {key: _weight(weight, frame.info, labels, where) for key, weight in WEIGHTS.items()}
    if weights["stress_weight"] > 0 and not frame.pbc.any():
        raise InputError(
            f"{where}: label 'stress' without a periodic cell; remove it or set "
            "config_stress_weight=0"
        )
    return Configuration(
        atomic_numbers=frame.numbers,
        positions=frame.positions,
        cell=frame.cell,
        pbc=frame.pbc,
        labels=labels,
        weights=weights,
        weight=float(_weight_value("config_weight", frame.info, (), where)),
        config_type=str(frame.info.get("config_type", DEFAULT_TYPE)),
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
        if frame.pbc.all() and abs(np.linalg.det(frame.cell)) < 1e-6 * lengths.prod():
            raise InputError(f"{where}: the vectors of the cell lie in one plane")


def _label(label: Label, key: str, value: Any, n_atoms: int, where: str) -> Array:
    """The value of a label in its own shape."""
    what = f"{where}: label '{label.name}' (key '{key}')"
    array = _numbers(value)
    if array is None:
        raise InputError(f"{what} is not a number: {str(value)[:40]!r}")
    shaped = _shaped(label, array, n_atoms)
    if shaped is None:
        raise InputError(
            f"{what} has shape {_show(array.shape)}; expected {_expected(label, n_atoms)}"
        )
    if not np.isfinite(shaped).all():
        raise InputError(f"{what} is not finite")
    if label.integer:
        if (shaped != np.round(shaped)).any():
            raise InputError(f"{what} must be whole numbers")
        return shaped.astype(np.int64)
    return shaped


def _numbers(value: Any) -> NDArray[np.float64] | None:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        return None
    return array.astype(np.float64)


def _shaped(label: Label, array: NDArray[np.float64], n: int) -> NDArray[np.float64] | None:
    if label.shape == () and array.size == 1:
        return array.reshape(())
    if label.shape == (3, 3):
        if array.shape in ((3, 3), (9,)):
            return array.reshape(3, 3)
        if label.key == "stress" and array.shape == (6,):
            full: NDArray[np.float64] = array[_VOIGT]
            return full
        return None
    if label.shape == ("n", "C"):
        columns = array[:, None] if array.ndim == 1 else array
        valid = columns.ndim == 2 and columns.shape[1] in _MULTIPOLE_COLUMNS
        return columns if valid and len(columns) == n else None
    shape = tuple(n if size == "n" else size for size in label.shape)
    return array if array.shape == shape else None


def _expected(label: Label, n: int) -> str:
    if label.key == "stress":
        return "3x3, 9 or 6 (xx yy zz yz xz xy)"
    if label.shape == ("n", "C"):
        return f"{n}xC with C = {', '.join(map(str, _MULTIPOLE_COLUMNS))}"
    if label.shape == (3, 3):
        return "3x3 or 9"
    return _show(tuple(n if size == "n" else size for size in label.shape))


def _show(shape: Iterable[Any]) -> str:
    return "x".join(map(str, shape)) or "one number"


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
    value = _numbers(info.get(name, 1.0))
    if value is None or not np.isfinite(value).all() or (value < 0).any():
        got = np.asarray(info[name]).tolist()
        raise InputError(f"{where}: {name} must be finite and not negative; got {got!r}")
    if value.size == 1:
        return np.full(shape, value.item())
    if value.size == np.prod(shape, dtype=int):
        return value.reshape(shape)
    sizes = "one number" + (f" or {_show(shape)}" if shape else "")
    raise InputError(f"{where}: {name} has shape {_show(value.shape)}; expected {sizes}")
