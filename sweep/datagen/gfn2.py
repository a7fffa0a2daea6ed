"""GFN2-xTB labels of one molecule through ``tblite`` (extra ``[data]``), in eV, Å and e.

Conventions, each checked by ``tests/data/test_gfn2.py``:

* forces are minus the gradient of the energy;
* the atomic dipoles are tblite's cumulative atomic multipole moments: ``sum_i (q_i r_i + d_i)`` is
  the molecular dipole. It is taken about the coordinate origin, which matters for a charged
  molecule;
* a field ``F`` is the physical one: ``E(F) = E(0) - mu.F``, hence ``mu = -dE/dF``, and the
  polarizability ``d mu / d F`` is positive definite;
* the Fermi level is the middle of the gap between the highest occupied and the lowest empty
orbital.
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

METHOD = "GFN2-xTB"

FIELD_STEP = 1e-3
"""Step of the finite field in atomic units (1 a.u. = 51.4 V/Å)."""

_FIELD_UNIT = Hartree / Bohr  # V/Å per atomic unit of field


@dataclass(frozen=True)
class Labels:
    """The labels of one configuration of ``n`` atoms.

    Attributes:
        energy: total energy, eV.
        forces: ``[n, 3]``, eV/Å.
        multipoles: ``[n, 4]`` as ``[Q, d_y, d_z, d_x]``, e and e·Å.
        dipole: ``[3]`` as x, y, z, e·Å.
        polarizability: ``[3, 3]``, symmetric, e²Å²/eV (= e·Å²/V).
        fermi_level: mid-gap level, eV.
    """

    energy: float
    forces: Array
    multipoles: Array
    dipole: Array
    polarizability: Array
    fermi_level: float


def energy_and_forces(
    numbers: Sequence[int] | NDArray[np.int64],
    positions: Array,
    charge: int,
    field: Sequence[float] | None = None,
) -> tuple[float, Array]:
    """Energy in eV and forces ``[n, 3]`` in eV/Å, with an optional physical field in V/Å.

    Raises:
        InputError: tblite is not installed.
        NoResultError: not converged, or atoms too close.
    """
    atomic = None if field is None else [component / _FIELD_UNIT for component in field]
    result = singlepoint(METHOD, numbers, positions, charge, field=atomic, multipoles=False)
    return result.get("energy") * Hartree, -result.get("gradient") * (Hartree / Bohr)


def labels(numbers: Sequence[int] | NDArray[np.int64], positions: Array, charge: int) -> Labels:
    """All labels of one molecule.

    The polarizability is the central difference of the dipole over a field of +-1e-3 a.u. along
    each axis, made symmetric: ``alpha[a, b] = d mu_a / d F_b``.

    Args:
        numbers: atomic numbers ``[n]``.
        positions: ``[n, 3]``, Å; dipoles are taken about their origin.
        charge: total charge, e.

    Raises:
        InputError: tblite is not installed.
        NoResultError: not converged, or atoms too close.
    """
    result = singlepoint(METHOD, numbers, positions, charge)
    alpha = np.empty((3, 3))
    for axis in range(3):
        field = np.zeros(3)
        field[axis] = FIELD_STEP
        plus, minus = (
            singlepoint(METHOD, numbers, positions, charge, field=sign * field).get("dipole")
            for sign in (1.0, -1.0)
        )
        alpha[:, axis] = (plus - minus) / (2 * FIELD_STEP)
    alpha *= Bohr / _FIELD_UNIT  # e·bohr per a.u. of field -> e·Å per V/Å
    levels, occupations = result.get("orbital-energies"), result.get("orbital-occupations")
    occupied = occupations > 1.0
    return Labels(
        energy=float(result.get("energy") * Hartree),
        forces=-result.get("gradient") * (Hartree / Bohr),
        multipoles=atomic_multipoles(result),
        dipole=result.get("dipole") * Bohr,
        polarizability=(alpha + alpha.T) / 2,
        fermi_level=float((levels[occupied].max() + levels[~occupied].min()) / 2 * Hartree),
    )
