"""Energies of isolated atoms, the ``E0s`` of MACE. Imports no torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.read.configurations import ISOLATED_ATOM, Configuration
from sweep.data.table import Table, tabulate
from sweep.errors import InputError

__all__ = [
    "atomic_energies",
    "interaction_energies",
    "is_isolated_atom",
    "isolated_atoms",
    "less_atomic_energies",
    "symbol",
]


def symbol(atomic_number: int) -> str:
    """Chemical symbol of an element."""
    from ase.data import chemical_symbols

    return str(chemical_symbols[atomic_number])


def is_isolated_atom(configuration: Configuration) -> bool:
    """Whether it is one atom of ``config_type=IsolatedAtom``."""
    return len(configuration) == 1 and configuration.config_type == ISOLATED_ATOM


def isolated_atoms(table: Table) -> NDArray[np.bool_]:
    """For which configurations of a table :func:`is_isolated_atom` holds."""
    isolated: NDArray[np.bool_] = (table.n_atoms == 1) & table.of_type(ISOLATED_ATOM)
    return isolated


def atomic_energies(
    e0s: Any,
    train: Sequence[Configuration],
    isolated: Sequence[Configuration] = (),
    *,
    where: str = "E0s",
) -> dict[int, float]:
    """Energy of the isolated atom of every element of the training set, eV.

    Args:
        e0s: ``"average"``: from ``isolated`` if there are any, as in MACE, else least squares of
            the training energies over the numbers of atoms, as MACE does it (without any labelled
            energy: zeros). A mapping from element to energy,
            elements as atomic numbers or symbols, or the text of such a mapping. None: from
            ``isolated``.
        train: the training set, without isolated atoms.
        isolated: the frames of isolated atoms; not read if ``e0s`` is a mapping.
        where: the key of the configuration, for messages.

    Returns:
        Atomic number -> energy, ascending, exactly the elements of ``train``.

    Raises:
        InputError: ``e0s`` has none of these forms, or an element is missing.
    """
    table = tabulate(train)
    elements = np.unique(table.atoms("atomic_numbers")).tolist()
    if e0s is None or (e0s == "average" and len(isolated)):
        given = _isolated(isolated, where)
    elif isinstance(e0s, Mapping):
        given = _given(e0s, where)
    elif e0s == "average":
        return _average(table, elements)
    else:
        given = _given(_parse(e0s, where), where)
    missing = [z for z in elements if z not in given]
    if missing:
        names = ", ".join(f"{symbol(z)} ({z})" for z in missing)
        source = "no energy for"
        if e0s is None:
            source = "no isolated atom of"
        elif e0s == "average":  # MACE, too, takes them all from the file or none
            source = (
                "the training file has isolated atoms, whose energies win over 'average', but none "
                "of"
            )
        raise InputError(f"{where}: {source} {names}, which the training set has")
    return {z: given[z] for z in elements}


def interaction_energies(
    configurations: Sequence[Configuration], e0s: Mapping[int, float]
) -> NDArray[np.float64]:
    """Energy less that of the isolated atoms, per atom, eV, of all configurations with energies."""
    labelled = _labelled(tabulate(configurations))
    if not len(labelled):
        return np.zeros(0)
    numbers = labelled.atoms("atomic_numbers")
    # sums one after the other, as Python's sum does
    isolated = np.bincount(
        labelled.graph_of_atom,
        weights=_by_element(e0s)[numbers],
        minlength=len(labelled),
    )
    energies: NDArray[np.float64] = (labelled.graphs("energy") - isolated) / labelled.n_atoms
    return energies


def less_atomic_energies(table: Table, e0s: Mapping[int, float]) -> Table:
    """The same configurations with energies less those of the isolated atoms, in float64.

    Total energies of all-electron codes have so many digits before the point that float32 leaves
    none behind it.
    """
    columns = table.columns
    if "energy" not in columns.arrays:
        return table
    values = np.zeros(max(119, max(e0s, default=0) + 1))
    values[list(e0s)] = list(e0s.values())
    n_atoms = columns.arrays["n_atoms"]
    isolated = np.bincount(
        np.repeat(np.arange(len(columns)), n_atoms),
        weights=values[columns.arrays["atomic_numbers"]],
        minlength=len(columns),
    )
    energies = np.where(columns.arrays["has.energy"], columns.arrays["energy"] - isolated, 0.0)
    return table.over(replace(columns, arrays={**columns.arrays, "energy": energies}))


def _labelled(table: Table) -> Table:
    return table.take(table.graphs("energy_weight") > 0)


def _by_element(e0s: Mapping[int, float]) -> NDArray[np.float64]:
    """The energies as an array, to be indexed by atomic numbers."""
    values = np.full(max(e0s, default=0) + 1, np.nan)
    values[list(e0s)] = list(e0s.values())
    return values


def _average(train: Table, elements: list[int]) -> dict[int, float]:
    labelled = _labelled(train)
    if not len(labelled):
        return dict.fromkeys(elements, 0.0)
    counts = labelled.element_counts(elements)
    energies = labelled.graphs("energy")
    solution = np.linalg.lstsq(counts.astype(float), energies, rcond=None)[0]
    return dict(zip(elements, solution.tolist(), strict=True))


def _isolated(isolated: Sequence[Configuration], where: str) -> dict[int, float]:
    if not isolated:
        raise InputError(
            f"{where}: null needs frames of config_type={ISOLATED_ATOM} in the training file; "
            "else use 'average' or give the energies"
        )
    energies: dict[int, float] = {}
    for configuration in isolated:
        z = int(configuration.atomic_numbers[0])
        if "energy" not in configuration.labels:
            raise InputError(f"{configuration.where}: isolated atom {symbol(z)} without an energy")
        if z in energies:
            raise InputError(f"{configuration.where}: a second isolated atom {symbol(z)}")
        energies[z] = float(configuration.labels["energy"])
    return energies


def _parse(text: Any, where: str) -> Mapping[Any, Any]:
    try:
        value = ast.literal_eval(text) if isinstance(text, str) else None
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, Mapping):
        raise InputError(
            f"{where}: must be 'average', null or a mapping such as {{H: -13.6, O: -430.1}}; "
            f"got {text!r}"
        )
    return value


def _given(mapping: Mapping[Any, Any], where: str) -> dict[int, float]:
    energies: dict[int, float] = {}
    for element, energy in mapping.items():
        z = _atomic_number(element, where)
        if z in energies:
            raise InputError(f"{where}: element {symbol(z)} is given twice")
        if (
            isinstance(energy, bool)
            or not isinstance(energy, int | float)
            or not np.isfinite(energy)
        ):
            raise InputError(f"{where}.{element}: must be a finite energy in eV; got {energy!r}")
        energies[z] = float(energy)
    return energies


def _atomic_number(element: Any, where: str) -> int:
    from ase.data import atomic_numbers

    text = str(element)
    number = int(text) if text.isdigit() else int(atomic_numbers.get(text, 0))
    if not 1 <= number <= max(atomic_numbers.values()):
        raise InputError(f"{where}: {element!r} is neither an atomic number nor a chemical symbol")
    return number
