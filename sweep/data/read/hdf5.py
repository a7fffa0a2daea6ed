"""HDF5 files as ``mace_prepare_data`` writes them. Imports no torch.

``config_batch_<i>/config_<j>`` holds ``atomic_numbers``, ``positions``, ``cell``, ``pbc``,
``weight``, ``config_type`` and the groups ``properties`` and ``property_weights``, both by MACE's
names of the labels; the text ``None`` stands for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.data.labels import find_label
from sweep.data.read.extxyz import Frame
from sweep.errors import InputError

if TYPE_CHECKING:
    import h5py

__all__ = ["hdf5_chunks"]


@dataclass(frozen=True)
class _Hdf5Chunk:
    """Configurations ``start`` to ``stop`` of a batch; the batch's first has number ``first``."""

    file: str
    batch: str
    start: int
    stop: int
    first: int
    own_names: bool = True

    def __len__(self) -> int:
        return self.stop - self.start

    def frames(self) -> Iterator[Frame]:
        with _open(self.file) as file:
            for number in range(self.start, self.stop):
                index = self.first + number
                try:
                    yield _frame(file[f"{self.batch}/config_{number}"], index)
                except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
                    raise InputError(
                        f"{self.file}: configuration {index} is not in the layout of "
                        f"mace_prepare_data: {str(error).strip(chr(34))}"
                    ) from error


def hdf5_chunks(file: str, size: int) -> Iterator[_Hdf5Chunk]:
    """Cut a file into parts.

    Raises:
        InputError: it is no HDF5 file, or has another layout.
    """
    try:
        batches, sizes = _batches(file)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{file}: damaged inside: {error}") from error
    first = 0
    for batch, count in zip(batches, sizes, strict=True):
        for start in range(0, count, size):
            yield _Hdf5Chunk(file, batch, start, min(start + size, count), first)
        first += count


def _batches(file: str) -> tuple[list[str], list[int]]:
    """The names of the batches in the order of their numbers, and how many they hold."""
    with _open(file) as opened:
        batches = sorted(
            (name for name in opened if name.startswith("config_batch_")),
            key=lambda name: int(name.rpartition("_")[2]),
        )
        if not batches:
            there = ", ".join(list(opened)[:3]) or "nothing"
            raise InputError(
                f"{file}: not in the layout of mace_prepare_data: no group config_batch_0; "
                f"there: {there}"
            )
        return batches, [len(opened[name]) for name in batches]


def _open(file: str) -> h5py.File:
    import h5py

    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise InputError(f"{file}: not readable as an HDF5 file: {error}") from error


def _frame(group: Any, index: int) -> Frame:
    info: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, item in group["properties"].items():
        if not isinstance(name, str):  # no text
            raise TypeError(f"property {name!r}")
        value = _value(item)
        if value is not None:
            label = find_label(name)
            (arrays if label is not None and label.per_atom else info)[name] = value
    for name, item in group["property_weights"].items():
        value = _value(item)
        if value is not None:
            info[f"config_{name}_weight"] = value
    for name, key in (("weight", "config_weight"), ("config_type", "config_type")):
        value = _value(group[name])
        if value is not None:
            info[key] = value
    cell, pbc = _value(group["cell"]), _value(group["pbc"])
    return Frame(
        index=index,
        numbers=np.asarray(group["atomic_numbers"][()], dtype=np.int64),
        positions=np.asarray(group["positions"][()], dtype=np.float64),
        cell=np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=np.float64),
        pbc=np.zeros(3, dtype=np.bool_) if pbc is None else np.asarray(pbc, dtype=np.bool_),
        info=info,
        arrays=arrays,
    )


def _value(item: Any) -> Any:
    value = item[()]
    if isinstance(value, bytes):
        value = value.decode("utf-8")
        return None if value == "None" else value
    return value
