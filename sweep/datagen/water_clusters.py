"""Geometries of the shipped data set ``water_clusters``: plan, seeds, construction and checks.

Neutral clusters of 1 to 4 water molecules and the hydrates of H3O+ and OH- with 0 to 3 waters. A
cluster is put together molecule by molecule, mostly along hydrogen bonds, relaxed by a few GFN2
steps and then moved by a short GFN2 molecular dynamics from random velocities, so that forces are
those of a hot cluster. Every configuration has its own random stream, spawned from the data set's
seed by its index: any one of them can be made again alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sweep.datagen.attempts import first_made, mixed
from sweep.datagen.gfn2 import Labels, energy_and_forces, labels
from sweep.datagen.motion import dynamics, relax

__all__ = [
    "COUNTS",
    "SEED",
    "Kind",
    "Sample",
    "assign_molecules",
    "kinds",
    "monomer",
    "plan",
    "random_rotation",
    "sample",
    "split_of",
]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SEED = 20261107

SPLIT_CYCLE = ("train", "train", "valid", "train", "train", "test")
"""Split of the k-th configuration of a kind: 4 to 1 to 1, so that every split has every kind."""

RELAXATION_STEPS = 30
DYNAMICS_STEPS = 60
TEMPERATURES = (300.0, 1500.0)
"""Range in K from which a configuration's temperature is drawn. The zero-point motion of an OH bond
alone is that of a classical oscillator at 2600 K, so the upper end is less hot than it sounds."""

MAX_FORCE = 12.0  # eV/Å, longest force vector that is kept
_H, _O = 1, 8


@dataclass(frozen=True)
class Kind:
    """A composition: ``ion`` is 0 for none, +1 for H3O+ and -1 for OH-."""

    name: str
    ion: int
    n_waters: int

    @property
    def numbers(self) -> Integers:
        """Atomic numbers, molecule by molecule, oxygen first, the ion first."""
        hydrogens = ([2 + self.ion] if self.ion else []) + [2] * self.n_waters
        return np.array([z for n in hydrogens for z in (_O, *[_H] * n)], dtype=np.int64)


COUNTS: dict[Kind, int] = {
    Kind("water_1", 0, 1): 36,
    Kind("water_2", 0, 2): 60,
    Kind("water_3", 0, 3): 60,
    Kind("water_4", 0, 4): 48,
    Kind("hydronium_0", 1, 0): 12,
    Kind("hydronium_1", 1, 1): 24,
    Kind("hydronium_2", 1, 2): 24,
    Kind("hydronium_3", 1, 3): 24,
    Kind("hydroxide_0", -1, 0): 12,
    Kind("hydroxide_1", -1, 1): 18,
    Kind("hydroxide_2", -1, 2): 24,
    Kind("hydroxide_3", -1, 3): 18,
}
"""How many configurations of each kind, all splits together; each a multiple of six."""


@dataclass(frozen=True)
class Sample:
    """One configuration: ``molecules`` ``[n]`` is the number of the molecule of each atom."""

    kind: Kind
    positions: Array
    molecules: Integers
    labels: Labels


def kinds() -> list[Kind]:
    """The kind of every configuration, in the order of the index."""
    return [kind for kind, count in COUNTS.items() for _ in range(count)]


def split_of(index: int) -> str:
    """The split, ``train``, ``valid`` or ``test``, that configuration ``index`` belongs to."""
    return SPLIT_CYCLE[index % len(SPLIT_CYCLE)]


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
    positions = _assemble(kind, rng)
    if positions is None:
        return None

    def forces(at: Array) -> Array:
        return energy_and_forces(kind.numbers, at, kind.ion)[1]

    positions = relax(forces, positions, RELAXATION_STEPS)
    positions = dynamics(forces, kind.numbers, positions, temperature, DYNAMICS_STEPS, rng)
    # Rounded before labelling: the file holds exactly the geometry that the labels belong to.
    positions = np.round(_centred(kind.numbers, positions), 6)
    molecules = assign_molecules(kind, positions)
    if molecules is None or not _acceptable(kind.numbers, positions, molecules):
        return None
    result = labels(kind.numbers, positions, kind.ion)
    if np.linalg.norm(result.forces, axis=1).max() > MAX_FORCE:
        return None
    return Sample(kind, positions, molecules, result)


def monomer(n_hydrogens: int) -> Array:
    """OH-, H2O or H3O+ with oxygen at the origin and the hydrogens around +z."""
    bond = {1: 0.96, 2: 0.96, 3: 0.98}[n_hydrogens]
    tilt = np.radians({1: 0.0, 2: 52.5, 3: 73.0}[n_hydrogens])
    turn = 2 * np.pi * np.arange(n_hydrogens) / n_hydrogens
    directions = np.stack(
        [
            np.sin(tilt) * np.cos(turn),
            np.sin(tilt) * np.sin(turn),
            np.full_like(turn, np.cos(tilt)),
        ],
        axis=1,
    )
    return np.concatenate([np.zeros((1, 3)), bond * directions])


def random_rotation(rng: np.random.Generator) -> Rotation:
    """A rotation, all of them equally likely."""
    return Rotation.from_quat(rng.normal(size=4))


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector)
    return unit


def _turned(molecule: Array, axis: Array, onto: Array, rng: np.random.Generator) -> Array:
    """``molecule`` turned such that ``axis`` points along ``onto``, spun about it, disturbed."""
    rotation, _ = Rotation.align_vectors(onto[None], _unit(axis)[None])
    spin = Rotation.from_rotvec(rng.uniform(0, 2 * np.pi) * onto)
    disturb = Rotation.from_rotvec(rng.normal(scale=0.25, size=3))
    turned: Array = (disturb * spin * rotation).apply(molecule)
    return turned


def _assemble(kind: Kind, rng: np.random.Generator) -> Array | None:
    """Positions of a cluster grown molecule by molecule, or None if one found no room."""
    molecules = [monomer(2 + kind.ion)]
    for _ in range(kind.n_waters - (0 if kind.ion else 1)):
        for _ in range(200):
            added = _neighbour(molecules, rng)
            if all(_apart(added, other) for other in molecules):
                molecules.append(added)
                break
        else:
            return None
    return np.concatenate(molecules)


def _neighbour(molecules: list[Array], rng: np.random.Generator) -> Array:
    """A water next to one of ``molecules``: a hydrogen-bond acceptor, a donor, or at random."""
    target = molecules[rng.integers(len(molecules))]
    oxygen, hydrogens = target[0], target[1:]
    water = monomer(2)
    distance = rng.uniform(2.6, 3.0)
    style = rng.uniform()
    if style < 0.2:
        direction = _unit(rng.normal(size=3))
        turned = random_rotation(rng).apply(water)
    elif style < 0.6:  # accepts: its oxygen lies on an O-H of the target
        hydrogen = hydrogens[rng.integers(len(hydrogens))]
        direction = _unit(hydrogen - oxygen + rng.normal(scale=0.1, size=3))
        turned = _turned(water, np.array([0.0, 0.0, 1.0]), direction, rng)
    else:  # donates: one of its O-H points to the target's oxygen, away from the target's hydrogens
        away = -_unit((hydrogens - oxygen).sum(axis=0))
        direction = _unit(away + rng.normal(scale=0.6, size=3))
        turned = _turned(water, water[1], -direction, rng)
    placed: Array = oxygen + distance * direction + turned
    return placed


def _apart(one: Array, other: Array) -> bool:
    """No two atoms of different molecules closer than 1.5 Å, no two oxygens closer than 2.45 Å."""
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return bool(distances.min() > 1.5 and distances[0, 0] > 2.45)


def _centred(numbers: Integers, positions: Array) -> Array:
    """Positions about the centre of mass, the origin of the dipole of a charged cluster."""
    masses = atomic_masses[numbers]
    centred: Array = positions - masses @ positions / masses.sum()
    return centred


def assign_molecules(kind: Kind, positions: Array) -> Integers | None:
    """Molecule number per atom: every hydrogen belongs to the nearest oxygen.

    A proton may have moved to another oxygen, which is what protons do in these clusters; None if
    that left anything but waters and the one ion.
    """
    oxygens = np.flatnonzero(kind.numbers == _O)
    distances = np.linalg.norm(positions[:, None] - positions[oxygens][None], axis=-1)
    molecules: Integers = distances.argmin(axis=1).astype(np.int64)
    expected = np.bincount(np.cumsum(kind.numbers == _O) - 1)
    found = np.bincount(molecules, minlength=len(oxygens))
    return molecules if sorted(found) == sorted(expected) else None


def _acceptable(numbers: Integers, positions: Array, molecules: Integers) -> bool:
    """No O-H shorter than 0.8 Å, a hydrogen within 1.35 Å of its oxygen, no clash, nothing lost."""
    first, second = np.triu_indices(len(numbers), k=1)
    distances = np.linalg.norm(positions[first] - positions[second], axis=1)
    same = molecules[first] == molecules[second]
    charge = numbers[first] * numbers[second]
    shortest = {_H * _H: 1.2, _H * _O: 0.8, _O * _O: 2.3}
    clash = any((distances[charge == pair] < limit).any() for pair, limit in shortest.items())
    stretched = (distances[same & (charge == _H * _O)] > 1.35).any()
    return not (clash or stretched)
