"""One single-point calculation with an xTB method through ``tblite`` (extra ``[data]``)."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from ase.units import Bohr
from numpy.typing import NDArray

from sweep.errors import InputError, SweepError

__all__ = ["NoResultError", "atomic_multipoles", "singlepoint"]

Array = NDArray[np.float64]

ACCURACY = 0.01
"""tblite's accuracy factor, 100 times tighter than its default, as finite differences need it."""


_OLDEST = (0, 8)  # of tblite


class NoResultError(SweepError):
    """The method gave no result for one geometry: not converged, or atoms too close."""


@functools.cache
def _tblite() -> tuple[int, ...]:
    """The version of tblite, as far as it is made of numbers."""
    parts = itertools.takewhile(str.isdigit, version("tblite").split("."))
    return tuple(int(part) for part in parts)


def singlepoint(
    method: str,
    numbers: Sequence[int] | NDArray[np.int64],
    positions: Array,
    charge: int,
    *,
    cell: Array | None = None,
    field: Sequence[float] | Array | None = None,
    multipoles: bool = True,
) -> Any:
    """Run tblite once.

    Args:
        method: ``GFN1-xTB`` or ``GFN2-xTB``.
        numbers: atomic numbers ``[n]``.
        positions: ``[n, 3]``, Å.
        charge: total charge, e.
        cell: ``[3, 3]``, Å, rows are the vectors of a cell that repeats in all directions; None
            for a molecule.
        field: physical electric field in atomic units.
        multipoles: whether atomic multipoles are computed.

    Returns:
        tblite's result, in Hartree and Bohr.

    Raises:
        InputError: tblite is not installed, or too old.
        NoResultError: not converged, or atoms too close.
    """
    # One thread: more of them only spin on systems this small, and the order of sums stays fixed.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        from tblite.exceptions import TBLiteRuntimeError
        from tblite.interface import Calculator
    except ImportError as error:
        raise InputError(
            f"{method} labels need the package tblite: install the extra with "
            "pip install 'mace-loss-sweep[data]'"
        ) from error
    if (found := _tblite()) < _OLDEST:
        raise InputError(
            f"{method} labels need tblite {'.'.join(map(str, _OLDEST))} or later; got "
            f"{'.'.join(map(str, found))}, whose forces in a field are wrong"
        )
    periodic = {} if cell is None else {"lattice": cell / Bohr, "periodic": np.ones(3, dtype=bool)}
    try:
        calculator = Calculator(
            method, np.asarray(numbers), positions / Bohr, charge=float(charge), **periodic
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", ACCURACY)
        calculator.set("max-iter", 250)
        if multipoles:
            # Naming any post-processing drops the default one: the molecular dipole is named too.
            calculator.add("molecular-multipoles")
            calculator.add("xtbml_xyz")
        if field is not None:
            calculator.add("electric-field", [float(component) for component in field])
        return calculator.singlepoint()
    except TBLiteRuntimeError as error:
        raise NoResultError(f"{method} failed on {len(positions)} atoms: {error}") from error


def atomic_multipoles(result: Any) -> Array:
    """Cumulative atomic multipoles ``[n, 4]`` as ``[Q, d_y, d_z, d_x]`` of a result, e and e·Å."""
    moments = result.get("post-processing-dict")
    return np.column_stack(
        [result.get("charges"), *(moments[f"dipm_A_{axis}"] * Bohr for axis in "yzx")]
    )
