"""Geometries of the shipped data set ``organics``: small organic molecules and ions, one a time.

Ten neutral molecules of H, C, N and O, two ammonium ions and two carboxylates. They begin at the
geometries of the G2 set that ASE has (Curtiss et al., J. Chem. Phys. 106, 1063 (1997)), with a
proton added to the amines or taken from the acids; relaxation, dynamics and random streams are
those of :mod:`sweep.datagen.water_clusters`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.build import molecule
from ase.data import atomic_masses, covalent_radii
from numpy.typing import NDArray

from sweep.datagen.attempts import first_made, mixed
from sweep.datagen.gfn2 import Labels, energy_and_forces, labels
from sweep.datagen.motion import dynamics, relax
from sweep.datagen.water_clusters import MAX_FORCE, random_rotation, split_of

__all__ = ["KINDS", "PER_KIND", "SEED", "Kind", "Sample", "bonds", "kinds", "plan", "sample"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SEED = 20261126
RELAXATION_STEPS = 30
DYNAMICS_STEPS = 60
TEMPERATURES = (300.0, 1500.0)  # K
PER_KIND = 18
"""Configurations of each kind, all splits together: 12, 3 and 3."""


@dataclass(frozen=True)
class Kind:
    """A molecule: ``neutral`` is its name in ASE, before ``charge`` protons were added."""

    name: str
    neutral: str
    charge: int = 0


KINDS = (
    Kind("methanol", "CH3OH"),
    Kind("formaldehyde", "H2CO"),
    Kind("formic_acid", "HCOOH"),
    Kind("acetic_acid", "CH3COOH"),
    Kind("acetaldehyde", "CH3CHO"),
    Kind("dimethyl_ether", "CH3OCH3"),
    Kind("methylamine", "H3CNH2"),
    Kind("acetamide", "CH3CONH2"),
    Kind("acetonitrile", "CH3CN"),
    Kind("ethene", "C2H4"),
    Kind("ammonium", "NH3", 1),
    Kind("methylammonium", "H3CNH2", 1),
    Kind("formate", "HCOOH", -1),
    Kind("acetate", "CH3COOH", -1),
)


@dataclass(frozen=True)
class Sample:
    """One configuration of ``n`` atoms: ``numbers`` ``[n]``, ``positions`` ``[n, 3]`` in Å."""

    kind: Kind
    numbers: Integers
    positions: Array
    labels: Labels


def kinds() -> list[Kind]:
    """The kind of every configuration, in the order of the index."""
    return [kind for kind in KINDS for _ in range(PER_KIND)]


def plan(split: str) -> list[int]:
    """Indices of the configurations of a split, mixed: the head of a file has most kinds."""
    return [index for index in mixed(len(kinds())) if split_of(index) == split]


def sample(index: int, seed: int = SEED) -> Sample:
    """Make configuration ``index`` of the data set with this seed, without making the others.

    Raises:
        SweepError: no acceptable geometry was found in 50 attempts.
    """
    kind = kinds()[index]
    return first_made(lambda rng: _attempt(kind, rng), index=index, what=kind.name, seed=seed)


def _attempt(kind: Kind, rng: np.random.Generator) -> Sample | None:
    temperature = float(rng.uniform(*TEMPERATURES))
    numbers, start = _start(kind)
    start = random_rotation(rng).apply(start)

    def forces(at: Array) -> Array:
        return energy_and_forces(numbers, at, kind.charge)[1]

    positions = relax(forces, start, RELAXATION_STEPS)
    positions = dynamics(forces, numbers, positions, temperature, DYNAMICS_STEPS, rng)
    masses = atomic_masses[numbers]
    # Rounded before labelling: the file holds exactly the geometry that the labels belong to.
    positions = np.round(positions - masses @ positions / masses.sum(), 6)
    if not np.array_equal(bonds(numbers, positions), bonds(numbers, start)):
        return None
    result = labels(numbers, positions, kind.charge)
    if np.linalg.norm(result.forces, axis=1).max() > MAX_FORCE:
        return None
    return Sample(kind, numbers, positions, result)


def bonds(numbers: Integers, positions: Array) -> NDArray[np.bool_]:
    """Which atoms are bonded, ``[n, n]``: closer than 1.3 times the sum of their radii."""
    radii = covalent_radii[numbers]
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    bonded: NDArray[np.bool_] = distances < 1.3 * (radii[:, None] + radii[None])
    return bonded & ~np.eye(len(numbers), dtype=bool)


def _start(kind: Kind) -> tuple[Integers, Array]:
    """Atomic numbers and positions before relaxation."""
    atoms = molecule(kind.neutral)
    numbers, positions = atoms.numbers.astype(np.int64), atoms.positions
    bonded = bonds(numbers, positions)
    if kind.charge > 0:  # onto the lone pair of the nitrogen
        (nitrogen,) = np.flatnonzero(numbers == 7)
        to = positions[bonded[nitrogen]] - positions[nitrogen]
        away = -(to / np.linalg.norm(to, axis=1, keepdims=True)).sum(axis=0)
        proton = positions[nitrogen] + 1.02 * away / np.linalg.norm(away)
        return np.append(numbers, 1), np.vstack([positions, proton])
    if kind.charge < 0:  # the hydrogen of the oxygen
        of_oxygen = bonded[numbers == 8].any(axis=0) & (numbers == 1)
        return numbers[~of_oxygen], positions[~of_oxygen]
    return numbers, positions
