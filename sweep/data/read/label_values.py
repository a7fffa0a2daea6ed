"""The values of labels as extxyz files hold them, in the shapes of the labels. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.labels import Label
from sweep.errors import InputError

__all__ = ["label_value", "numbers", "show"]

Array = NDArray[Any]

_MULTIPOLE_COLUMNS = (1, 4, 9, 16)
# Order of ASE's six stress components: xx, yy, zz, yz, xz, xy.
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


def label_value(label: Label, key: str, value: Any, n_atoms: int, where: str) -> Array:
    """The value of a label in its own shape, ``[3, 3]`` for a stress of six numbers.

    Args:
        label: the label.
        key: its key in the file, for messages.
        value: what the file holds.
        n_atoms: atoms of the configuration.
        where: file and configuration, for messages.

    Raises:
        InputError: not a number, not finite, or of another shape.
    """
    what = f"{where}: label '{label.name}' (key '{key}')"
    array = numbers(value)
    if array is None:
        raise InputError(f"{what} is not a number: {str(value)[:40]!r}")
    shaped = _shaped(label, array, n_atoms)
    if shaped is None:
        raise InputError(
            f"{what} has shape {show(array.shape)}; expected {_expected(label, n_atoms)}"
        )
    if not np.isfinite(shaped).all():
        raise InputError(f"{what} is not finite")
    if label.key == "total_spin" and (shaped < 1 or shaped != np.round(shaped)):
        raise InputError(
            f"{what} is {shaped:g}; it is the multiplicity 2S + 1, a whole number from 1 (one more "
            "than the unpaired electrons)"
        )
    low, high = label.legal
    if ((shaped < low) | (shaped > high)).any():
        worst = shaped[(shaped < low) | (shaped > high)].flat[0]
        bounds = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise InputError(f"{what} must be {bounds} {label.unit}".rstrip() + f"; got {worst:g}")
    if label.integer:
        if (shaped != np.round(shaped)).any():
            raise InputError(f"{what} must be whole numbers")
        return shaped.astype(np.int64)
    return shaped


def numbers(value: Any) -> NDArray[np.float64] | None:
    """The value as an array of numbers; None if it is not one."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        return None
    return array.astype(np.float64)


def _shaped(label: Label, array: NDArray[np.float64], n: int) -> NDArray[np.float64] | None:
    """The right number of values in one row is right, however many brackets are around it."""
    if label.shape == (3, 3):
        flat = array.squeeze()
        if flat.shape in ((3, 3), (9,)):
            return flat.reshape(3, 3)
        if label.key == "stress" and flat.shape == (6,):
            full: NDArray[np.float64] = flat[_VOIGT]
            return full
        return None
    if label.shape == ("n", "C"):
        columns = array[:, None] if array.ndim == 1 else array
        valid = columns.ndim == 2 and columns.shape[1] in _MULTIPOLE_COLUMNS
        return columns if valid and len(columns) == n else None
    shape = tuple(size if isinstance(size, int) else n for size in label.shape)
    alike = [size for size in array.shape if size != 1] == [size for size in shape if size != 1]
    return array.reshape(shape) if alike else None


def _expected(label: Label, n: int) -> str:
    if label.key == "stress":
        return "3x3, 9 or 6 (xx yy zz yz xz xy)"
    if label.shape == ("n", "C"):
        return f"{n}xC with C = {', '.join(map(str, _MULTIPOLE_COLUMNS))}"
    if label.shape == (3, 3):
        return "3x3 or 9"
    return show(tuple(n if size == "n" else size for size in label.shape))


def show(shape: Iterable[Any]) -> str:
    """A shape in words."""
    return "x".join(map(str, shape)) or "one number"
