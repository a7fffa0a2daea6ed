"""Labels and positions that may be in another unit, in all splits or in one. Imports no torch.

A file in another unit reads like any other. It is told by numbers that no unit of this program
gives, and by splits that should be alike and differ by a factor that lies between two units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sweep.data.dataset import DataSet
from sweep.data.energies import interaction_energies
from sweep.data.labels import LABELS
from sweep.data.remark import Remark
from sweep.data.statistics import deviation, entries
from sweep.data.table import Table
from sweep.quantities import QUANTITIES, Quantity

__all__ = ["odd_units"]

Array = NDArray[np.float64]

MAX_FORCE = 100.0
"""eV/Å, root mean square. Forces of 20 eV/Å are those of atoms that are about to collide."""

MAX_ENERGY_SPREAD = 100.0
"""eV per atom. No chemical bond has a tenth of that."""

MAX_RATIO = 3.0
"""Between the spreads of two splits: twice is that of another temperature or another size."""

MIN_ENTRIES = 10
"""Of both splits, for energies beyond one for each element: of fewer a spread says little."""

TOLERANCE = math.log(1.15)
"""How near to the factor between two units a ratio must be to name them."""

BOHR = 0.529177
"""Å."""

_ENERGIES = (
    (1000.0, "eV", "meV"),
    (27.2114, "Hartree", "eV"),
    (23.0605, "eV", "kcal/mol"),
    (96.4853, "eV", "kJ/mol"),
)
_UNITS: Mapping[str, tuple[tuple[float, str, str], ...]] = {
    "eV": _ENERGIES,
    "eV/Å": (
        (51.4221, "Hartree/bohr", "eV/Å"),
        *((factor, f"{large}/Å", f"{small}/Å") for factor, large, small in _ENERGIES),
    ),
    "eV/Å³": (
        (1000.0, "eV/Å³", "meV/Å³"),
        (160.2177, "eV/Å³", "GPa"),
        (1602.177, "eV/Å³", "kbar"),
    ),
    "e·Å": ((4.80320, "e·Å", "Debye"), (1000.0, "e·Å", "me·Å")),
    "V": ((27.2114, "Hartree/e", "V"), (1000.0, "V", "mV")),
}
"""Unit of a label -> how many of the smaller unit the larger is, the larger, the smaller."""


def odd_units(data: DataSet) -> Iterator[Remark]:
    """Whatever a wrong unit would explain."""
    for split, table in data.splits():
        yield from _sizes(split, table, data)
    others = [(split, table) for split, table in data.splits() if split != "train"]
    for quantity in QUANTITIES.values():
        if quantity.shape is not None and not quantity.computed:
            yield from _spreads(quantity, data.train, others)
    yield from _distances(data.train, others)


def _sizes(split: str, table: Table, data: DataSet) -> Iterator[Remark]:
    energies = interaction_energies(table, data.atomic_energies)
    if energies.size and (spread := float(energies.std())) > MAX_ENERGY_SPREAD:
        yield Remark(
            "energy", f"{split}: less E0s they spread by {spread:.3g} eV/atom; are they in meV, "
            "kcal/mol or kJ/mol, or the E0s in another unit or of another method?"
        )  # fmt: skip
    forces = entries(table, "forces", "forces_weight")
    if forces.size and (rms := float(np.sqrt(np.square(forces).mean()))) > MAX_FORCE:
        yield Remark(
            "forces", f"{split}: root mean square {rms:.3g} eV/Å; are they in meV/Å, kcal/mol/Å or "
            "kJ/mol/Å?"
        )  # fmt: skip


def _spreads(quantity: Quantity, train: Table, others: list[tuple[str, Table]]) -> Iterator[Remark]:
    """Spreads of a label that differ from that of the training set."""
    label = LABELS[quantity.ref]
    reference = _spread(quantity, train)
    for split, table in others:
        own = _spread(quantity, table)
        if not (own > 0 and reference > 0):
            continue
        ratio = max(own, reference) / min(own, reference)
        if ratio > MAX_RATIO:
            larger, smaller = (split, "train") if own > reference else ("train", split)
            yield Remark(
                label.name, f"{split}: the spread in {larger} is {ratio:.3g} times that in "
                f"{smaller}: {max(own, reference):.3g} against {min(own, reference):.3g} "
                f"{quantity.unit}{_explained(label.unit, ratio, larger, smaller)}"
            )  # fmt: skip


def _explained(unit: str, ratio: float, larger: str, smaller: str) -> str:
    """The units between which such a factor lies, nearest first."""
    near = sorted(
        (abs(math.log(ratio / factor)), f"{small}, {smaller} in {large} (factor {factor:.4g})")
        for factor, large, small in _UNITS.get(unit, ())
    )
    named = [text for distance, text in near if distance < TOLERANCE]
    return f"; is {larger} in {', or in '.join(named)}?" if named else ""


def _spread(quantity: Quantity, table: Table) -> float:
    """Standard deviation of a label; 0 if there is none to speak of."""
    if quantity.name == "energy":
        return _energy_spread(table)
    values = entries(table, quantity.ref, quantity.weight)
    if values.size < MIN_ENTRIES:
        return 0.0
    return deviation(values, float(np.abs(values).max()), quantity.name)


def _energy_spread(table: Table) -> float:
    """Of energies per atom about the least squares by elements of the split itself.

    E0s of the training set, in its unit, would leave total energies of splits in another one.
    """
    labelled = table.take(table.graphs("energy_weight") > 0)
    if not len(labelled):
        return 0.0
    counts = labelled.element_counts(np.unique(labelled.atoms("atomic_numbers")).tolist())
    shares = counts / labelled.n_atoms[:, None]
    energies: Array = labelled.graphs("energy") / labelled.n_atoms
    fitted, _, rank, _ = np.linalg.lstsq(shares, energies, rcond=None)
    left = energies - shares @ fitted
    free = len(labelled) - int(rank)
    if free + 1 < MIN_ENTRIES:
        return 0.0
    spread = deviation(left, float(np.abs(energies).max()), "energy")
    return spread * math.sqrt(len(labelled) / free)


def _distances(train: Table, others: list[tuple[str, Table]]) -> Iterator[Remark]:
    """Positions in bohr beside some in Å."""
    reference = _nearest(train)
    for split, table in others:
        own = _nearest(table)
        shared = sorted(own.keys() & reference.keys())
        if not shared:
            continue
        logs = [math.log(own[z] / reference[z]) for z in shared]
        ratio = math.exp(abs(float(np.median(logs))))
        if abs(math.log(ratio * BOHR)) < TOLERANCE:
            larger, smaller = (split, "train") if np.median(logs) > 0 else ("train", split)
            yield Remark(
                "", f"{split}: the distances to nearest neighbours in {larger} are {ratio:.3g} "
                f"times those in {smaller}; is {larger} in bohr, {smaller} in Å (factor 1.89)?"
            )  # fmt: skip


def _nearest(table: Table, n_graphs: int = 40, n_atoms: int = 10) -> dict[int, float]:
    """Element -> median distance to the nearest atom, of a sample that takes no neighbour list."""
    found: dict[int, list[float]] = {}
    for row in np.unique(np.linspace(0, len(table) - 1, min(n_graphs, len(table))).astype(int)):
        graph = table[int(row)]
        n = len(graph)
        if n < 2:
            continue
        chosen = np.unique(np.linspace(0, n - 1, min(n_atoms, n)).astype(int))
        away = graph.positions[None, :, :] - graph.positions[chosen, None, :]
        if graph.pbc.any():
            turns = np.round(away @ np.linalg.pinv(graph.cell)) * graph.pbc
            away = away - turns @ graph.cell
        distances = np.linalg.norm(away, axis=2)
        distances[np.arange(len(chosen)), chosen] = np.inf
        for z, distance in zip(graph.atomic_numbers[chosen], distances.min(axis=1), strict=True):
            found.setdefault(int(z), []).append(float(distance))
    medians = {z: float(np.median(values)) for z, values in found.items() if len(values) >= 5}
    return {z: distance for z, distance in medians.items() if distance > 0}
