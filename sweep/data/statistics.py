"""Numbers that a model and the score take from the training set. Imports no torch.

Only labels that are there with a weight above zero count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.energies import interaction_energies
from sweep.data.labels import LABELS
from sweep.data.read.configurations import Configuration
from sweep.data.table import Table, tabulate
from sweep.errors import InputError
from sweep.quantities import QUANTITIES

__all__ = [
    "ModelStatistics",
    "check_multipoles",
    "deviation",
    "entries",
    "model_statistics",
    "reference_deviations",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ModelStatistics:
    """What a model starts from.

    Attributes:
        atomic_numbers: elements, ascending.
        atomic_energies: E0 of each element, eV.
        atomic_inter_shift: mean interaction energy per atom, eV (MACE's ``scaling``); 0 without
        energies.
        atomic_inter_scale: root mean square of the force components, eV/Å, as MACE's
            ``rms_forces_scaling``; 1 without forces.
        mean_charges: mean charge of each element, e; 0 without charges.
        charge_scale: root mean square deviation of the charges from the mean of their element, e.
        dipole_scale: root mean square of a component of the atomic dipoles, e·Å.
        mean_polarizabilities: isotropic polarizability per atom of each element, by least squares
            over the labelled ones; 0 without such.
        polarizability_scale: root mean square of a component of what is left, per square root of
            the number of atoms, as the errors of atoms add up.
    """

    atomic_numbers: tuple[int, ...]
    atomic_energies: tuple[float, ...]
    atomic_inter_shift: float
    atomic_inter_scale: float
    mean_charges: tuple[float, ...]
    charge_scale: float
    dipole_scale: float
    mean_polarizabilities: tuple[float, ...]
    polarizability_scale: float


SMALLEST = 1e-8
"""Spread below which a label in eV, e and Å is one value written with round-off."""

_SMALLEST = {"stress": 1e-10}

DEFAULT_CHARGE_SCALE = 0.1
DEFAULT_DIPOLE_SCALE = 0.05
DEFAULT_POLARIZABILITY_SCALE = 1.0


def model_statistics(train: Sequence[Configuration], e0s: Mapping[int, float]) -> ModelStatistics:
    """The statistics of a training set; every scale is positive, whatever labels are missing.

    Args:
        train: training set.
        e0s: atomic number -> energy of the isolated atom, eV.
    """
    elements = sorted(e0s)
    train = tabulate(train)
    energies = interaction_energies(train, e0s)
    forces = entries(train, "forces", "forces_weight")
    numbers, multipoles = _multipoles(train)
    mean_charges = np.array(
        [multipoles[numbers == z, 0].mean() if (numbers == z).any() else 0.0 for z in elements]
    )
    deviations = multipoles[:, 0] - mean_charges[np.searchsorted(elements, numbers)]
    polarizabilities, polarizability_scale = _polarizabilities(train, elements)
    return ModelStatistics(
        atomic_numbers=tuple(elements),
        atomic_energies=tuple(e0s[z] for z in elements),
        atomic_inter_shift=float(energies.mean()) if energies.size else 0.0,
        atomic_inter_scale=_scale(forces, 1.0),
        mean_charges=tuple(mean_charges.tolist()),
        charge_scale=_scale(deviations, DEFAULT_CHARGE_SCALE),
        dipole_scale=_scale(multipoles[:, 1:4], DEFAULT_DIPOLE_SCALE),
        mean_polarizabilities=polarizabilities,
        polarizability_scale=polarizability_scale or DEFAULT_POLARIZABILITY_SCALE,
    )


def reference_deviations(
    train: Sequence[Configuration], e0s: Mapping[int, float], *, n_multipoles: int | None = None
) -> dict[str, float]:
    """Standard deviation of every labelled quantity of the training set, over all its entries.

    They make errors of different quantities comparable. The energy is that per atom after the
    isolated atoms are taken off, in eV; the others are as labelled, all components together. Dipole
    components of weight zero do not count. A quantity without labels is absent; one that is
    constant but for round-off gives 0.

    Args:
        train: training set.
        e0s: atomic number -> energy of the isolated atom, eV.
        n_multipoles: multipole columns that count, all of them if None.
    """
    train = tabulate(train)
    quantities = {
        **{q.name: entries(train, q.ref, q.weight) for q in QUANTITIES.values() if not q.computed},
        "energy": interaction_energies(train, e0s),
        "atomic_multipoles": _multipoles(train)[1][:, :n_multipoles],
    }
    largest = {name: float(np.abs(v).max()) for name, v in quantities.items() if v.size}
    if "energy" in largest:  # what is left of it has the round-off of the whole
        labelled = train.take(train.graphs("energy_weight") > 0)
        largest["energy"] = float(np.abs(labelled.graphs("energy") / labelled.n_atoms).max())
    return {name: deviation(quantities[name], most, name) for name, most in largest.items()}


def deviation(values: Array, largest: float, name: str = "") -> float:
    """Standard deviation of values; 0 if they differ by no more than round-off.

    Args:
        values: of any shape.
        largest: magnitude of the numbers that they were computed from.
        name: of the quantity.
    """
    spread = float(np.std(values))
    return spread if spread > max(_SMALLEST.get(name, SMALLEST), 1e-10 * largest) else 0.0


def check_multipoles(configurations: Sequence[Configuration], n_multipoles: int) -> None:
    """Check that the labelled multipoles have the columns that a model needs.

    Args:
        configurations: any split.
        n_multipoles: ``(l_max + 1)²`` of the model.

    Raises:
        InputError: naming the first configuration with fewer columns.
    """
    table = tabulate(configurations)
    widths = table.graphs("n_multipoles")
    narrow = np.flatnonzero(table.has("density_coefficients") & (widths < n_multipoles))
    if narrow.size:
        width = int(widths[narrow[0]])
        raise InputError(
            f"{table.where(narrow[0])}: label 'atomic_multipoles' has {width} "
            f"columns; the model needs {n_multipoles} (l up to {round(n_multipoles**0.5) - 1}), "
            f"with model.atomic_multipoles_max_l={math.isqrt(width) - 1} it takes what there is"
        )


def _multipoles(table: Table) -> tuple[NDArray[np.int64], Array]:
    """Atomic numbers ``[M]`` and multipoles ``[M, C]`` of the labelled atoms, common columns."""
    labelled = table.take(table.graphs("density_coefficients_weight") > 0)
    if not len(labelled):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
    width = labelled.graphs("n_multipoles").min()
    multipoles = labelled.atoms("density_coefficients")[:, :width]
    return labelled.atoms("atomic_numbers"), np.ascontiguousarray(multipoles)


def _polarizabilities(table: Table, elements: Sequence[int]) -> tuple[tuple[float, ...], float]:
    """Isotropic polarizability per atom of each element, and the scale of what that leaves."""
    weights = table.graphs("polarizability_weight").reshape(len(table), 9)
    labelled = table.take(weights.min(axis=1) > 0)
    if not len(labelled):
        return (0.0,) * len(elements), 0.0
    counts = labelled.element_counts(elements)
    alphas = labelled.graphs("polarizability")
    isotropic = np.trace(alphas, axis1=1, axis2=2) / 3
    means = np.linalg.lstsq(counts.astype(float), isotropic, rcond=None)[0]
    left = alphas - (counts @ means)[:, None, None] * np.eye(3)
    per_atom = left / np.sqrt(counts.sum(axis=1))[:, None, None]
    return tuple(means.tolist()), _rms(per_atom)


def entries(table: Table, label: str, weight: str) -> Array:
    """All entries of a label whose weight is above zero."""
    if label not in table.columns.arrays:
        return np.zeros(0)
    labelled = table.take(table.has(label))
    mask = labelled.graphs(weight) > 0
    if mask.ndim > 1:  # a weight for each entry
        found: Array = labelled.graphs(label)[mask]
        return found
    used = labelled.take(mask)
    return (used.atoms if LABELS[label].per_atom else used.graphs)(label).ravel()


def _scale(values: Array, default: float) -> float:
    """Root mean square; the default where there are no values, or only round-off of zeros."""
    rms = _rms(values)
    return rms if rms > SMALLEST else default


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
