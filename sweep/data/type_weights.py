"""Weights of configurations by their ``config_type``, as MACE has them. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sweep.data.read.configurations import DEFAULT_TYPE
from sweep.data.table import Table
from sweep.errors import InputError, unknown

__all__ = ["check_type_weights", "check_types", "note_of_types", "weigh_types"]


def check_type_weights(given: Any, where: str) -> dict[str, float]:
    """The weights of a head's ``config_type_weights``.

    Args:
        given: What the configuration holds.
        where: Its key.

    Raises:
        InputError: if it is no mapping, or a weight is not finite and not negative.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: must map config_types to weights; got {given!r}")
    for name, weight in given.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not (is_number and math.isfinite(weight) and weight >= 0):
            raise InputError(f"{where}.{name}: must be a finite number from 0 on; got {weight!r}")
    return {str(name): float(weight) for name, weight in given.items()}


def check_types(weights: Mapping[str, float], train: Table, where: str) -> None:
    """Make sure that the training file has every type; ``Default`` may be without configurations.

    Args:
        weights: By type.
        train: The whole training file.
        where: Key of the weights.

    Raises:
        InputError: naming a type that it lacks, and those that it has.
    """
    types = train.columns.config_types
    present = {types[number] for number in np.unique(train.graphs("config_type"))}
    for name in weights:
        if name not in present and name != DEFAULT_TYPE:
            raise InputError(unknown("config_type", name, present, where=where))


def weigh_types(table: Table, weights: Mapping[str, float]) -> Table:
    """The configurations, their weights multiplied by those of their types; others have 1."""
    columns = table.columns
    if not weights or not len(columns):
        return table
    factors = np.array([weights.get(name, 1.0) for name in columns.config_types])
    weight = columns.arrays["weight"] * factors[columns.arrays["config_type"]]
    return table.over(dataclasses.replace(columns, arrays={**columns.arrays, "weight": weight}))


def note_of_types(weights: Mapping[str, float], train: Table) -> str:
    """What the weights act on."""
    parts = [f"{name} {weights[name]:g} ({int(train.of_type(name).sum())})" for name in weights]
    return f"config_type_weights (configurations of the training set): {', '.join(parts)}"
