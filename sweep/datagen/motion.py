"""Relaxation and short molecular dynamics of the configurations of a shipped data set.

Not ASE's, for the shipped sets must come out the same: with these functions positions agree exactly
and labels to 5e-9. With ASE's BFGS (the same start and longest step) on tblite's ASE calculator 2
of 18 configurations of ``water_clusters`` agree, the others are up to 3e-3 Å and 1 meV elsewhere;
with ASE's velocity Verlet alone all are within 1e-6 Å and 4e-5 eV/Å.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import units
from ase.data import atomic_masses
from numpy.typing import NDArray

__all__ = ["TIME_STEP", "dynamics", "relax"]

Array = NDArray[np.float64]
Forces = Callable[[Array], Array]
"""Forces ``[n, 3]`` in eV/Å at positions ``[n, 3]`` in Å."""

TIME_STEP = 0.5 * units.fs


def relax(forces: Forces, positions: Array, steps: int) -> Array:
    """A fixed number of BFGS steps of at most 0.1 Å per atom (Nocedal and Wright, section 6.1)."""
    x = positions.ravel().copy()
    inverse = np.eye(x.size) / 40.0  # Å²/eV; the stiffest mode, an O-H bond, has about 50 eV/Å²
    gradient = -forces(positions).ravel()
    for _ in range(steps):
        step = -inverse @ gradient
        step *= min(1.0, 0.1 / np.linalg.norm(step.reshape(-1, 3), axis=1).max())
        x = x + step
        new = -forces(x.reshape(-1, 3)).ravel()
        change, gradient = new - gradient, new
        if (curvature := step @ change) > 1e-8:
            project = np.eye(x.size) - np.outer(step, change) / curvature
            inverse = project @ inverse @ project.T + np.outer(step, step) / curvature
    return x.reshape(-1, 3)


def dynamics(
    forces: Forces,
    numbers: NDArray[np.int64],
    positions: Array,
    temperature: float,
    steps: int,
    rng: np.random.Generator,
) -> Array:
    """Positions after steps of 0.5 fs of velocity Verlet from Maxwell-Boltzmann velocities.

    The velocities are those of twice the temperature, as half of their energy becomes potential.
    """
    masses = atomic_masses[numbers][:, None]
    velocities = rng.normal(size=positions.shape) * np.sqrt(2 * units.kB * temperature / masses)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    now = forces(positions)
    for _ in range(steps):
        velocities = velocities + 0.5 * TIME_STEP * now / masses
        positions = positions + TIME_STEP * velocities
        now = forces(positions)
        velocities = velocities + 0.5 * TIME_STEP * now / masses
    return positions
