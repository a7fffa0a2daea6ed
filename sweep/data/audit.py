"""Labels that are odd: what a careful reader of the data files would ask about. Imports no torch.

What cannot be right is an error where it is read; what is merely unlikely is said here, with
numbers. Every check is a few expressions on whole columns, so that large files cost little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.dataset import DataSet
from sweep.data.energies import interaction_energies, symbol
from sweep.data.remark import Remark
from sweep.data.table import Table
from sweep.data.units import odd_units

__all__ = ["audit"]

Array = NDArray[Any]

MAX_VOLUME = 100.0
"""Å³ per atom of a cell that repeats in all directions; MACE_SCF refuses what is above."""

GPA = 160.2176634
"""1 eV/Å³ in GPa."""


def audit(data: DataSet) -> list[Remark]:
    """Everything odd about the labels and structures of a data set, and what was left out."""
    remarks = [Remark("", note) for note in data.notes]
    for split, table in data.splits():
        for check in (_weights, _volumes, _charges, _spins, _forces, _dipoles, _asymmetry):
            remarks += [Remark(r.label, f"{split}: {r.text}") for r in check(table)]
    remarks += [*_energy_offsets(data), *_stresses(data.train), *_outliers(data)]
    return [*remarks, *odd_units(data), *_shared_frames(data)]


def _weights(table: Table) -> Iterator[Remark]:
    other = int((table.graphs("weight") != 1).sum())
    if other:
        yield Remark(
            "", f"weights of configurations (config_weight, config_type_weights) are not 1 in "
            f"{other} of {len(table)}; they act in the loss alone: E0s, scales and errors count "
            "every configuration once"
        )  # fmt: skip


def _volumes(table: Table) -> Iterator[Remark]:
    volume = np.abs(np.linalg.det(table.graphs("cell"))) / table.n_atoms
    large = np.flatnonzero(table.graphs("pbc").all(axis=1) & (volume > MAX_VOLUME))
    if large.size:
        worst = large[volume[large].argmax()]
        yield Remark(
            "", f"{large.size} of {len(table)} periodic in all directions with a volume above "
            f"{MAX_VOLUME:.0f} Å³ per atom, up to {volume[worst]:.0f} ({table.where(worst)}); for "
            'molecules in a box set pbc="F F F" in the file or '
            "model.pbc_handling=molecule_in_box"
        )  # fmt: skip


def _charges(table: Table) -> Iterator[Remark]:
    labelled = _labelled(table, "total_charge")
    if len(labelled):
        charge = labelled.graphs("total_charge")
        off = np.abs(charge - np.round(charge))
        if (off > 1e-3).any():
            worst = int(off.argmax())
            yield Remark(
                "total_charge", f"{int((off > 1e-3).sum())} are no whole numbers of e, such as "
                f"{charge[worst]:.4g} ({labelled.where(worst)})"
            )  # fmt: skip
    both = _labelled(labelled, "density_coefficients")
    if len(both):
        sums = _sum(both, both.atoms("density_coefficients")[:, 0])
        off = np.abs(sums - both.graphs("total_charge"))
        if (off > 0.01).any():
            worst = int(off.argmax())
            yield Remark(
                "atomic_multipoles", f"charges do not sum to total_charge in "
                f"{int((off > 0.01).sum())} of {len(both)}: {sums[worst]:.4g} e instead of "
                f"{both.graphs('total_charge')[worst]:.4g} ({both.where(worst)})"
            )  # fmt: skip


def _spins(table: Table) -> Iterator[Remark]:
    labelled = _labelled(table, "total_spin")
    if not len(labelled):
        return
    charges = labelled.graphs("total_charge") if "total_charge" in labelled.columns.arrays else 0.0
    electrons = _sum(labelled, labelled.atoms("atomic_numbers")) - np.round(charges)
    odd = np.flatnonzero((electrons + labelled.graphs("total_spin")) % 2 == 0)
    if odd.size:
        first = odd[0]
        yield Remark(
            "total_spin", f"{odd.size} of {len(labelled)} do not go with the number of electrons: "
            f"2S + 1 = {labelled.graphs('total_spin')[first]:g} with {electrons[first]:.0f} "
            f"electrons ({labelled.where(first)})"
        )  # fmt: skip


def _forces(table: Table) -> Iterator[Remark]:
    labelled = _labelled(table, "forces")
    if len(labelled) and "external_field" in labelled.columns.arrays:
        labelled = labelled.take(~labelled.has("external_field"))  # which pulls at charges
    if not len(labelled):
        return
    forces = labelled.atoms("forces")
    net = np.linalg.norm(_sum(labelled, forces), axis=1)
    size = np.sqrt(_sum(labelled, np.square(forces).sum(axis=1)))
    odd = (net > 0.1) & (net > 0.02 * size)
    if odd.any():
        worst = int(np.where(odd, net, 0).argmax())
        yield Remark(
            "forces", f"they do not sum to zero in {int(odd.sum())} of {len(labelled)}: up to "
            f"{net[worst]:.3g} eV/Å ({labelled.where(worst)})"
        )  # fmt: skip


def _dipoles(table: Table) -> Iterator[Remark]:
    """Of a molecule the dipole is that of its charges and atomic dipoles."""
    labelled = _labelled(_labelled(table, "dipole"), "density_coefficients")
    if len(labelled):
        labelled = labelled.take(~labelled.periodic & (labelled.graphs("n_multipoles") >= 4))
    if not len(labelled):
        return
    multipoles = labelled.atoms("density_coefficients")
    atomic = multipoles[:, :1] * labelled.atoms("positions") + multipoles[:, [3, 1, 2]]
    made = _sum(labelled, atomic)
    given = labelled.graphs("dipole")
    off = np.linalg.norm(made - given, axis=1)
    odd = (off > 0.05) & (off > 0.05 * np.linalg.norm(given, axis=1))
    odd &= (labelled.graphs("dipole_weight") > 0).all(axis=1)
    if odd.any():
        worst = int(np.where(odd, off, 0).argmax())
        yield Remark(
            "dipole", f"{int(odd.sum())} of {len(labelled)} are not those of the atomic multipoles "
            f"and positions: {_vector(given[worst])} against {_vector(made[worst])} e·Å "
            f"({labelled.where(worst)}); unit, sign or origin?"
        )  # fmt: skip


def _asymmetry(table: Table) -> Iterator[Remark]:
    for name in ("stress", "polarizability"):
        labelled = _labelled(table, name)
        if not len(labelled):
            continue
        values = labelled.graphs(name)
        size = np.abs(values).max(axis=(1, 2))
        off = np.abs(values - values.transpose(0, 2, 1)).max(axis=(1, 2))
        odd = off > 0.01 * size
        if odd.any():
            worst = int(np.where(odd, off, 0).argmax())
            yield Remark(
                name, f"{int(odd.sum())} of {len(labelled)} are not symmetric: off by "
                f"{off[worst]:.3g} of {size[worst]:.3g} ({labelled.where(worst)})"
            )  # fmt: skip


def _energy_offsets(data: DataSet) -> Iterator[Remark]:
    """Energies that differ by charge state, which E0s per element cannot take off."""
    table = _labelled(_labelled(data.train, "energy"), "total_charge")
    if len(table) < 6:
        return
    energies = interaction_energies(table, data.atomic_energies)
    charges, state = np.unique(np.round(table.graphs("total_charge"), 3), return_inverse=True)
    counts = np.bincount(state)
    if not 2 <= len(charges) <= 20 or counts.min() < 3:
        return
    means = np.bincount(state, energies) / counts
    explained = float((counts * np.square(means - energies.mean())).sum())
    total = float(np.square(energies - energies.mean()).sum())
    low, high = int(means.argmin()), int(means.argmax())
    if explained > 0.9 * total and means[high] - means[low] > 0.1:
        yield Remark(
            "energy", f"train: {explained / total:.0%} of the variance of the energies follows the "
            f"total charge: {means[low]:.3g} eV/atom at {charges[low]:g} e, {means[high]:.3g} at "
            f"{charges[high]:g} e; are they from the same reference?"
        )  # fmt: skip


def _stresses(table: Table) -> Iterator[Remark]:
    labelled = _labelled(table, "stress")
    if not len(labelled):
        return
    stress = labelled.graphs("stress")
    rms = float(np.sqrt(np.square(stress).mean()))
    if rms > 0.5:
        yield Remark(
            "stress", f"train: root mean square {rms:.3g} eV/Å³, which is {rms * GPA:.0f} GPa; is "
            "it in GPa or kbar, or virials?"
        )  # fmt: skip
    pressure = -np.trace(stress, axis1=1, axis2=2) / 3
    volume = np.abs(np.linalg.det(labelled.graphs("cell")))
    elements = np.unique(labelled.atoms("atomic_numbers")).tolist()
    _, group = np.unique(labelled.element_counts(elements), axis=0, return_inverse=True)
    counts = np.bincount(group.ravel())
    used = counts[group.ravel()] >= 5
    if used.sum() < 10:
        return
    group = group.ravel()[used]

    def centred(values: Array) -> Array:
        means = np.bincount(group, values) / np.maximum(np.bincount(group), 1)
        result: Array = values - means[group]
        return result

    p, v = centred(pressure[used]), centred(volume[used] / labelled.n_atoms[used])
    scale = float(np.linalg.norm(p) * np.linalg.norm(v))
    if v.std() > 1e-3 and scale > 0 and float(p @ v) / scale > 0.5:
        yield Remark(
            "stress", f"train: the pressure grows with the volume (correlation {p @ v / scale:.2f})"
            ": is the sign that of ASE, positive under tension?"
        )  # fmt: skip


def _outliers(data: DataSet) -> Iterator[Remark]:
    """Energies far from those of their config_type, forces far from those of their element."""
    table = _labelled(data.train, "energy")
    if len(table):
        energies = interaction_energies(table, data.atomic_energies)
        types = table.graphs("config_type")
        worst: tuple[float, int, int] = (50.0, -1, 0)
        count = 0
        for kind in np.unique(types):
            rows = np.flatnonzero(types == kind)
            away = np.abs(energies[rows] - np.median(energies[rows]))
            spread = 1.4826 * float(np.median(away))
            if len(rows) < 8 or spread < 1e-4:
                continue
            count += int((away > 50 * spread).sum())
            if away.max() / spread > worst[0]:
                worst = (float(away.max()) / spread, int(rows[away.argmax()]), int(kind))
        if worst[1] >= 0:
            yield Remark(
                "energy", f"train: {count} of {len(table)} are more than 50 spreads from the "
                f"median of their config_type: {energies[worst[1]]:.4g} eV/atom less E0s, "
                f"{worst[0]:.0f} spreads ({table.where(worst[1])})"
            )  # fmt: skip
    table = _labelled(data.train, "forces")
    if len(table):
        norms = np.linalg.norm(table.atoms("forces"), axis=1)
        numbers = table.atoms("atomic_numbers")
        for z in np.unique(numbers):
            atoms = np.flatnonzero(numbers == z)
            typical = float(np.median(norms[atoms]))
            largest = int(atoms[norms[atoms].argmax()])
            if len(atoms) >= 20 and typical > 0 and norms[largest] > max(50 * typical, 20.0):
                where = table.where(int(table.graph_of_atom[largest]))
                yield Remark(
                    "forces", f"train: {norms[largest]:.3g} eV/Å on {symbol(int(z))}, whose "
                    f"median is {typical:.3g} ({where})"
                )  # fmt: skip


def _shared_frames(data: DataSet) -> Iterator[Remark]:
    """Frames of validation or test that were trained on say nothing about the model."""
    seen: dict[int, tuple[str, int]] = {}
    tables = dict(data.splits())
    for split, table in tables.items():
        found: list[tuple[int, str, int]] = []
        own: dict[int, tuple[str, int]] = {}
        for index, key in enumerate(_fingerprints(table)):
            if key in seen:
                found.append((index, *seen[key]))
            own[key] = (split, index)
        seen = {**own, **seen}
        if found:
            index, other, there = found[0]
            yield Remark(
                "", f"{len(found)} of {len(table)} structures of {split} are in {other}, too: "
                f"{table.where(index)} is {tables[other].where(there)}"
            )  # fmt: skip


def _fingerprints(table: Table) -> Iterator[int]:
    positions = np.round(table.atoms("positions"), 5) + 0.0  # no negative zeros
    numbers = table.atoms("atomic_numbers")
    cells = np.round(table.graphs("cell"), 5) + 0.0
    stops = np.cumsum(table.n_atoms).tolist()
    start = 0
    for row, stop in enumerate(stops):
        own = (positions[start:stop].tobytes(), numbers[start:stop].tobytes(), cells[row].tobytes())
        yield hash(own)
        start = stop


def _labelled(table: Table, key: str) -> Table:
    """The configurations with a label that counts."""
    has = table.has(key)
    if len(table) and f"{key}_weight" in table.columns.arrays:
        weight = table.graphs(f"{key}_weight").reshape(len(table), -1)
        has = has & (weight > 0).any(axis=1)
    return table if has.all() else table.take(has)


def _sum(table: Table, per_atom: Array) -> Array:
    """Sums over the atoms of each configuration."""
    first = np.cumsum(table.n_atoms) - table.n_atoms
    result: Array = np.add.reduceat(per_atom, first, axis=0)
    return result


def _vector(values: Array) -> str:
    return "(" + " ".join(f"{value:.3g}" for value in values) + ")"
