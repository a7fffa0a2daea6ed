"""The columns of an extxyz frame: what ``Properties`` says of them and their values. No torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError

__all__ = ["DEFAULT", "Column", "atomic_numbers", "positions", "read_columns", "table_of"]

DEFAULT = "species:S:1:pos:R:3"
"""Columns of a frame that names none; further ones on a line are left alone then."""

_TYPES = {"R": "a real number", "I": "a whole number", "S": "text", "L": "T or F"}
_LOGICAL = {"T": True, "F": False, "True": True, "False": False, "true": True, "false": False}


@dataclass(frozen=True)
class Column:
    """One entry of ``Properties``: values ``start`` to ``stop`` of every line."""

    name: str
    kind: str
    start: int
    stop: int


@functools.lru_cache(maxsize=64)  # all frames of a file tend to have the same
def table_of(properties: str) -> tuple[Column, ...]:
    """The columns that ``Properties`` describes.

    Raises:
        InputError: it is no list of name, type and number of columns.
    """
    words = properties.split(":")
    if len(words) % 3:
        raise InputError(f"Properties is no list of name:type:columns: '{properties[:60]}'")
    columns: list[Column] = []
    start = 0
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=True):
        if kind not in _TYPES or not name:
            raise InputError(
                f"Properties: column '{name}' has the type '{kind}'; valid: {', '.join(_TYPES)}"
            )
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise InputError(f"Properties: column '{name}' has '{count}' columns; give a number")
        columns.append(Column(name, kind, start, start + int(count)))
        start += int(count)
    return tuple(columns)


def read_columns(lines: Sequence[str], properties: str | None) -> dict[str, NDArray[Any]]:
    """The values of the columns by name, ``[n]`` or ``[n, columns]``.

    Args:
        lines: one per atom.
        properties: what the comment line says of them; None for species and positions.

    Raises:
        InputError: naming the atom and the column.
    """
    columns = table_of(DEFAULT if properties is None else properties.strip())
    width = columns[-1].stop
    rows = [line.split() for line in lines]
    for atom, row in enumerate(rows):
        if len(row) < width or (len(row) > width and properties is not None):
            raise InputError(
                f"atom {atom} has {len(row)} values; {'Properties' if properties else 'a frame'} "
                f"needs {width}"
            )
    grouped = any("_" in line for line in lines)  # Python reads 1_000 as a number
    found: dict[str, NDArray[Any]] = {}
    for column in columns:
        if grouped and column.kind in "RI" and _has_groups(rows, column):
            raise _bad(rows, column)
        values = _values(rows, column)
        if column.name in found and not np.array_equal(found[column.name], values):
            raise InputError(f"the column '{column.name}' stands twice with different values")
        found[column.name] = values
    return found


def _values(rows: list[list[str]], column: Column) -> NDArray[Any]:
    start, stop = column.start, column.stop
    cells = [row[start] for row in rows] if stop == start + 1 else [row[start:stop] for row in rows]
    try:
        if column.kind == "R":
            return np.array(cells, dtype=np.float64)
        if column.kind == "I":
            return np.array(cells, dtype=np.int64)
        array = np.array(cells, dtype=object)
        return array if column.kind == "S" else np.vectorize(_LOGICAL.__getitem__)(array)
    except (ValueError, KeyError, OverflowError):
        raise _bad(rows, column) from None


def _has_groups(rows: list[list[str]], column: Column) -> bool:
    return any("_" in cell for row in rows for cell in row[column.start : column.stop])


def _bad(rows: list[list[str]], column: Column) -> InputError:
    """The first value that is none of its column's type."""
    convert: dict[str, Callable[[str], object]] = {
        "R": float,
        "I": lambda cell: np.int64(int(cell)),
        "L": _LOGICAL.__getitem__,
    }
    for atom, row in enumerate(rows):
        for cell in row[column.start : column.stop]:
            try:
                convert[column.kind](cell.replace("_", "?"))
            except (ValueError, KeyError, OverflowError):
                return InputError(
                    f"atom {atom}: '{cell[:30]}' in the column '{column.name}' is not "
                    f"{_TYPES[column.kind]}"
                )
    return InputError(f"the column '{column.name}' is not {_TYPES[column.kind]}")


def atomic_numbers(arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The elements, taken out of the columns ``species`` or ``Z``.

    Raises:
        InputError: there is neither, they differ, or one is no chemical symbol.
    """
    species = _take(arrays, ("species", "symbols", "element", "elements"))
    numbers = _take(arrays, ("Z", "numbers", "atomic_numbers"))
    if species is None and numbers is None:
        raise InputError(
            "no column with the chemical elements; name it species (symbols) or Z (numbers) in "
            "Properties"
        )
    if species is not None:
        read = np.array([_number(str(name)) for name in species], dtype=np.int64)
        if numbers is not None and not np.array_equal(read, numbers):
            raise InputError("the columns of species and of atomic numbers differ")
        return read
    if numbers is None or numbers.dtype.kind != "i" or numbers.ndim != 1 or (numbers > 118).any():
        raise InputError("the column of atomic numbers must hold one whole number up to 118")
    return numbers


def positions(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """The positions ``[n, 3]``, Å, taken out of the column ``pos``.

    Raises:
        InputError: there is none, or it has not three columns of real numbers.
    """
    found = _take(arrays, ("pos", "positions", "position"))
    if found is None or found.dtype.kind not in "if" or found.shape[1:] != (3,):
        raise InputError("no column pos:R:3 with the positions in Properties")
    return found.astype(np.float64)


def _take(arrays: dict[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[Any] | None:
    """Columns of the format itself are found in any case, but for ``Z``, which is no height."""
    there = [name for name in arrays if name in names or name.lower() in names]
    for name in there[1:]:
        if not np.array_equal(arrays[name], arrays[there[0]]):
            raise InputError(f"the columns '{there[0]}' and '{name}' differ; keep one")
    taken = [arrays.pop(name) for name in there]
    return taken[0] if taken else None


@functools.lru_cache(maxsize=1024)
def _number(name: str) -> int:
    from ase.data import atomic_numbers

    number = atomic_numbers.get(name.capitalize())
    if number is None:
        digits = "; atomic numbers go into a column Z:I:1" if name.isdigit() else ""
        raise InputError(f"species '{name[:30]}' is no symbol of a chemical element{digits}")
    return int(number)
