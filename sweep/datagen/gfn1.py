"""GFN1-xTB labels of a neutral periodic cell through ``tblite`` (extra ``[data]``), eV, Å and e.

Conventions, each checked by ``tests/data/test_gfn1.py``:

* forces are minus the gradient of the energy;
* the stress is ``dE/dε / V``, positive under tension, the sign of ASE;
* the atomic dipoles are tblite's cumulative atomic multipole moments and turn with the cell;
  charges and dipoles do not change when the cell is shifted or atoms are wrapped.

Only the Γ point is sampled, as tblite does it: the energy of a small cell is not that of an
infinite system, but energy, forces and stress belong together. A periodic cell has no dipole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from sweep.datagen.xtb import atomic_multipoles, singlepoint

__all__ = ["Labels", "energy_and_forces", "labels"]

Array = NDArray[np.float64]

METHOD = "GFN1-xTB"


@dataclass(frozen=True)
class Labels:
    """The labels of one cell of ``n`` atoms.

    Attributes:
        energy: total energy, eV.
        forces: ``[n, 3]``, eV/Å.
        stress: ``[3, 3]``, symmetric, eV/Å³.
        multipoles: ``[n, 4]`` as ``[Q, d_y, d_z, d_x]``, e and e·Å.
    """

    energy: float
    forces: Array
    stress: Array
    multipoles: Array


def energy_and_forces(
    numbers: Sequence[int] | NDArray[np.int64], positions: Array, cell: Array
) -> tuple[float, Array]:
    """Energy in eV and forces ``[n, 3]`` in eV/Å.

    Raises:
        InputError: tblite is not installed.
        NoResultError: not converged, or atoms too close.
    """
    result = singlepoint(METHOD, numbers, positions, 0, cell=cell, multipoles=False)
    return result.get("energy") * Hartree, -result.get("gradient") * (Hartree / Bohr)


def labels(numbers: Sequence[int] | NDArray[np.int64], positions: Array, cell: Array) -> Labels:
    """All labels of one cell.

    Args:
        numbers: atomic numbers ``[n]``.
        positions: ``[n, 3]``, Å.
        cell: ``[3, 3]``, Å, rows are the vectors.

    Raises:
        InputError: tblite is not installed.
        NoResultError: not converged, or atoms too close.
    """
    result = singlepoint(METHOD, numbers, positions, 0, cell=cell)
    stress = result.get("virial") * Hartree / abs(np.linalg.det(cell))
    return Labels(
        energy=float(result.get("energy") * Hartree),
        forces=-result.get("gradient") * (Hartree / Bohr),
        stress=(stress + stress.T) / 2,
        multipoles=atomic_multipoles(result),
    )
