"""Geometries of the shipped data set ``water_boxes``: plan, seeds, construction and checks.

Small periodic cells of 3 to 5 water molecules, skewed and of different densities so that stresses
are of all kinds. Molecules are placed at random, relaxed by a few GFN1 steps at fixed cell and then
moved by a short GFN1 molecular dynamics from random velocities. Every configuration has its own
random stream, spawned from the data set's seed by its index.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.datagen.attempts import first_made, mixed
from sweep.datagen.gfn1 import Labels, energy_and_forces, labels
from sweep.datagen.motion import dynamics, relax
from sweep.datagen.water_clusters import SPLIT_CYCLE, monomer, random_rotation

__all__ = ["COUNTS", "SEED", "Sample", "n_waters", "plan", "sample", "split_of", "whole"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SEED = 20261122

COUNTS = {3: 72, 4: 72, 5: 72}
"""How many configurations of each number of waters, all splits together; multiples of six."""

VOLUME = 29.9
"""Å³ per molecule of liquid water at room temperature."""

DENSITIES = (0.85, 1.2)
"""Range from which the density is drawn, relative to the liquid's."""

SHEAR = 0.08
"""Largest component of the strain that turns a cube into the cell."""

RELAXATION_STEPS = 20
DYNAMICS_STEPS = 40
TEMPERATURES = (300.0, 1200.0)  # K
MAX_FORCE = 12.0  # eV/Å, longest force vector that is kept
_H, _O = 1, 8
_IMAGES = np.array(list(itertools.product((-1, 0, 1), repeat=3)))


@dataclass(frozen=True)
class Sample:
    """One configuration: ``molecules`` ``[n]`` is the number of the molecule of each atom."""

    n_waters: int
    cell: Array
    positions: Array
    labels: Labels

    @property
    def numbers(self) -> Integers:
        """Atomic numbers ``[n]``, molecule by molecule, oxygen first."""
        return _numbers(self.n_waters)

    @property
    def molecules(self) -> Integers:
        """Number of the molecule of each atom ``[n]``."""
        return np.repeat(np.arange(self.n_waters), 3)


def n_waters() -> list[int]:
    """The number of waters of every configuration, in the order of the index."""
    return [n for n, count in COUNTS.items() for _ in range(count)]


def split_of(index: int) -> str:
    """The split, ``train``, ``valid`` or ``test``, that configuration ``index`` belongs to."""
    return SPLIT_CYCLE[index % len(SPLIT_CYCLE)]


def plan(split: str) -> list[int]:
    """Indices of the configurations of a split, mixed: the head of a file has all sizes."""
    return [index for index in mixed(len(n_waters())) if split_of(index) == split]


def sample(index: int, seed: int = SEED) -> Sample:
    """Make configuration ``index`` of the data set with this seed, without making the others.

    Raises:
        SweepError: no acceptable geometry was found in 50 attempts.
    """
    n = n_waters()[index]
    return first_made(lambda rng: _attempt(n, rng), index=index, what=f"{n} waters", seed=seed)


def _numbers(n: int) -> Integers:
    return np.array([_O, _H, _H] * n, dtype=np.int64)


def _attempt(n: int, rng: np.random.Generator) -> Sample | None:
    temperature = float(rng.uniform(*TEMPERATURES))
    cell = np.round(_cell(n, rng), 6)
    numbers = _numbers(n)
    positions = _place(n, cell, rng)
    if positions is None:
        return None

    def forces(at: Array) -> Array:
        return energy_and_forces(numbers, at, cell)[1]

    positions = relax(forces, positions, RELAXATION_STEPS)
    positions = dynamics(forces, numbers, positions, temperature, DYNAMICS_STEPS, rng)
    # Rounded before labelling: the file holds exactly the geometry that the labels belong to.
    positions = np.round(_wrapped(positions, cell), 6)
    if not whole(positions, cell):
        return None
    result = labels(numbers, positions, cell)
    if np.linalg.norm(result.forces, axis=1).max() > MAX_FORCE:
        return None
    return Sample(n, cell, positions, result)


def _cell(n: int, rng: np.random.Generator) -> Array:
    """A skewed cell for ``n`` waters at a random density."""
    strain = rng.uniform(-SHEAR, SHEAR, size=(3, 3))
    cell = np.eye(3) + (strain + strain.T) / 2
    volume = n * VOLUME / rng.uniform(*DENSITIES)
    scaled: Array = cell * (volume / np.linalg.det(cell)) ** (1 / 3)
    return scaled


def _place(n: int, cell: Array, rng: np.random.Generator) -> Array | None:
    """Waters placed one after the other, or None if one found no room."""
    placed = np.zeros((0, 3))
    for _ in range(n):
        for _ in range(500):
            water = random_rotation(rng).apply(monomer(2)) + rng.uniform(size=3) @ cell
            if _apart(water, placed, cell):
                placed = np.concatenate([placed, water])
                break
        else:
            return None
    return placed


def _apart(water: Array, placed: Array, cell: Array) -> bool:
    """No atom of another molecule or image closer than 1.5 Å, no oxygen closer than 2.45 Å."""
    images = distances(water, water, cell)
    images[..., len(_IMAGES) // 2] = np.inf  # the molecule itself
    if images.min() < 1.5:
        return False
    if not len(placed):
        return True
    others = distances(water, placed, cell)
    return bool(others.min() > 1.5 and others[0, ::3].min() > 2.45)


def distances(one: Array, other: Array, cell: Array) -> Array:
    """Distances ``[n, m, 27]`` of atoms to those of ``other`` in all neighbouring cells."""
    vectors = one[:, None, None] - other[None, :, None] - _IMAGES @ cell
    result: Array = np.linalg.norm(vectors, axis=-1)
    return result


def _wrapped(positions: Array, cell: Array) -> Array:
    """Positions with the oxygen of every molecule in the cell and the molecules whole."""
    oxygens = positions[::3]
    shift = -np.floor(oxygens @ np.linalg.inv(cell)) @ cell
    wrapped: Array = positions + np.repeat(shift, 3, axis=0)
    return wrapped


def whole(positions: Array, cell: Array) -> bool:
    """Whether every water is itself and nothing clashes.

    Every hydrogen has its own oxygen, not an image of it or another one, as the nearest, 0.8 to
    1.35 Å away; hydrogens of different molecules are at least 1.2 Å apart and oxygens 2.3 Å.
    """
    n = len(positions) // 3
    numbers = _numbers(n)
    hydrogens, oxygens = positions[numbers == _H], positions[numbers == _O]
    bonds = distances(hydrogens, oxygens, cell)
    own = bonds[np.arange(2 * n), np.arange(2 * n) // 2, len(_IMAGES) // 2]
    nearest = bonds.reshape(2 * n, -1).min(axis=1)
    between = distances(oxygens, oxygens, cell)
    between[between == 0] = np.inf
    hh = distances(hydrogens, hydrogens, cell)
    hh[hh == 0] = np.inf
    return bool(
        (own == nearest).all()
        and own.min() > 0.8
        and own.max() < 1.35
        and between.min() > 2.3
        and hh.min() > 1.2
    )
