"""Numbers that a model and the score take from the training set. Imports no torch.

Only labels that are there with a weight above zero count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.data.configurations import Configuration
from sweep.data.energies import interaction_energies
from sweep.errors import InputError

__all__ = [
    "ModelStatistics",
    "check_multipoles",
    "model_statistics",
    "reference_deviations",
    "rms_forces",
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
    """

    atomic_numbers: tuple[int, ...]
    atomic_energies: tuple[float, ...]
    atomic_inter_shift: float
    atomic_inter_scale: float
    mean_charges: tuple[float, ...]
    charge_scale: float
    dipole_scale: float


DEFAULT_CHARGE_SCALE = 0.1
DEFAULT_DIPOLE_SCALE = 0.05


def model_statistics(train: Sequence[Configuration], e0s: Mapping[int, float]) -> ModelStatistics:
    """The statistics of a training set; every scale is positive, whatever labels are missing.

    Args:
        train: training set.
        e0s: atomic number -> energy of the isolated atom, eV.
    """
    elements = sorted(e0s)
    energies = interaction_energies(train, e0s)
    numbers, multipoles = _multipoles(train)
    mean_charges = np.array(
        [multipoles[numbers == z, 0].mean() if (numbers == z).any() else 0.0 for z in elements]
    )
    deviations = multipoles[:, 0] - mean_charges[np.searchsorted(elements, numbers)]
    return ModelStatistics(
        atomic_numbers=tuple(elements),
        atomic_energies=tuple(e0s[z] for z in elements),
        atomic_inter_shift=float(energies.mean()) if energies.size else 0.0,
        atomic_inter_scale=rms_forces(train) or 1.0,
        mean_charges=tuple(mean_charges.tolist()),
        charge_scale=_rms(deviations) or DEFAULT_CHARGE_SCALE,
        dipole_scale=_rms(multipoles[:, 1:4]) or DEFAULT_DIPOLE_SCALE,
    )


def rms_forces(configurations: Sequence[Configuration]) -> float:
    """Root mean square of the force components, eV/Å; 0 without forces."""
    return _rms(_entries(configurations, "forces", "forces_weight"))


def reference_deviations(
    train: Sequence[Configuration], e0s: Mapping[int, float], *, n_multipoles: int | None = None
) -> dict[str, float]:
    """Standard deviation of every labelled quantity of the training set, over all its entries.

    They make errors of different quantities comparable. The energy is that per atom after the
    isolated atoms are taken off, in eV; the others are as labelled, all components together. Dipole
    components of weight zero do not count. A quantity without labels is absent; one that is
    constant gives 0.

    Args:
        train: training set.
        e0s: atomic number -> energy of the isolated atom, eV.
        n_multipoles: multipole columns that count, all of them if None.
    """
    quantities = {
        "energy": interaction_energies(train, e0s),
        "forces": _entries(train, "forces", "forces_weight"),
        "stress": _entries(train, "stress", "stress_weight"),
        "atomic_multipoles": _multipoles(train)[1][:, :n_multipoles],
        "total_charge": _entries(train, "total_charge", "total_charge_weight"),
        "dipole": _entries(train, "dipole", "dipole_weight"),
        "polarizability": _entries(train, "polarizability", "polarizability_weight"),
        "fermi_level": _entries(train, "fermi_level", "fermi_level_weight"),
    }
    return {name: float(np.std(values)) for name, values in quantities.items() if values.size}


def check_multipoles(configurations: Sequence[Configuration], n_multipoles: int) -> None:
    """Check that the labelled multipoles have the columns that a model needs.

    Args:
        configurations: any split.
        n_multipoles: ``(l_max + 1)²`` of the model.

    Raises:
        InputError: naming the first configuration with fewer columns.
    """
    for configuration in configurations:
        multipoles = configuration.labels.get("density_coefficients")
        if multipoles is not None and multipoles.shape[1] < n_multipoles:
            raise InputError(
                f"{configuration.where}: label 'atomic_multipoles' has {multipoles.shape[1]} "
                f"columns; the model needs {n_multipoles} (l up to {round(n_multipoles**0.5) - 1})"
            )


def _multipoles(configurations: Sequence[Configuration]) -> tuple[NDArray[np.int64], Array]:
    """Atomic numbers ``[M]`` and multipoles ``[M, C]`` of the labelled atoms, common columns."""
    labelled = [c for c in configurations if c.weights["density_coefficients_weight"] > 0]
    if not labelled:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
    width = min(c.labels["density_coefficients"].shape[1] for c in labelled)
    return (
        np.concatenate([c.atomic_numbers for c in labelled]),
        np.concatenate([c.labels["density_coefficients"][:, :width] for c in labelled]),
    )


def _entries(configurations: Sequence[Configuration], label: str, weight: str) -> Array:
    """All entries of a label whose weight is above zero."""
    kept = []
    for configuration in configurations:
        if label in configuration.labels:
            value, mask = configuration.labels[label], configuration.weights[weight] > 0
            kept.append(value[mask] if mask.shape else value.ravel()[: value.size * bool(mask)])
    return np.concatenate(kept) if kept else np.zeros(0)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
