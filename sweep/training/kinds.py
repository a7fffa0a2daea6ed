"""Errors by chemical element and by system size: where is a model good, and where is it not?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from sweep.quantities import QUANTITIES
from sweep.training.metrics import entry_errors, errors_of

__all__ = ["Errors", "Sizes", "evaluate_kinds", "sizes_of"]

_MOST_SIZES = 8  # that are told one by one
_N_RANGES = 4

Errors = dict[str, dict[str, float]]
"""Kind -> ``rmse_<quantity>``, ``mae_<quantity>``, ``share_<quantity>`` and ``n``."""


@dataclass(frozen=True)
class Sizes:
    """Ranges of the number of atoms of a configuration.

    Attributes:
        names: ``3``, ``10-24``, ….
        starts: Smallest number of each, ascending.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]


def sizes_of(n_atoms: NDArray[np.int64]) -> Sizes:
    """Ranges for configurations with these numbers of atoms, shape [G].

    Up to eight sizes are ranges by themselves; of more there are four with a quarter of the
    configurations each, as far as that goes.
    """
    sizes = np.unique(n_atoms)
    if len(sizes) > _MOST_SIZES:
        parts = np.quantile(n_atoms, np.arange(_N_RANGES) / _N_RANGES, method="closest_observation")
        starts = np.unique([sizes[0], *parts]).astype(np.int64)
    else:
        starts = sizes
    names = []
    for i, low in enumerate(starts):
        last = sizes[sizes < starts[i + 1]][-1] if i + 1 < len(starts) else sizes[-1]
        names.append(f"{low}" if low == last else f"{low}-{last}")
    return Sizes(tuple(names), tuple(int(low) for low in starts))


def evaluate_kinds(
    predict: Callable[..., Mapping[str, Tensor]],
    batches: Iterable[tuple[Mapping[str, Tensor], bool]],
    *,
    quantities: Sequence[str],
    compute_stress: bool,
    elements: Sequence[int],
    sizes: Sizes,
) -> tuple[Errors, Errors]:
    """Root-mean-square and mean absolute errors for each element, and for each size of systems.

    The sums stay on the device; they are read back once at the end.

    Args:
        predict: The model, or the model with options of its call.
        batches: Pairs of a batch and whether it is periodic.
        quantities: Names of :data:`~sweep.quantities.QUANTITIES` to measure.
        compute_stress: Whether the model computes stresses.
        elements: Atomic numbers, the columns of ``node_attrs``.
        sizes: Ranges of the number of atoms.

    Returns:
        For every element that occurs the errors of the quantities that atoms have; for every range
        of sizes those of all quantities. Beside ``rmse_<name>`` and ``mae_<name>`` in the
        quantity's unit ``share_<name>``, the part of the sum of squared errors that it holds, and
        ``n``, its number of atoms or configurations. What has no label has no entry.
    """
    by_element: dict[str, Tensor] = {}
    by_size: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for ref, periodic in batches:
        pred = predict(ref, periodic=periodic, compute_stress=compute_stress)
        pred = {key: value.detach() for key, value in pred.items() if value is not None}
        with torch.no_grad():
            n_atoms = ref["ptr"][1:] - ref["ptr"][:-1]
            element = ref["node_attrs"].argmax(dim=1)  # [N]
            starts = torch.tensor(sizes.starts, device=n_atoms.device, dtype=n_atoms.dtype)
            size = torch.searchsorted(starts, n_atoms, right=True) - 1  # [G]
            for name, index, n in (("e", element, len(elements)), ("s", size, len(sizes.names))):
                found = torch.bincount(index, minlength=n)
                counts[name] = counts[name] + found if name in counts else found
            for name in quantities:
                error, labelled = entry_errors(QUANTITIES[name], pred, ref)
                entries = torch.stack([error.square(), error.abs(), labelled])
                sums = entries.reshape(3, error.shape[0], -1).sum(dim=2).T  # [N or G, 3]
                if error.shape[0] == len(element):  # each row is an atom
                    _add(by_element, name, element, sums, len(elements))
                    sums = sums.new_zeros(len(size), 3).index_add(0, ref["batch"], sums)
                _add(by_size, name, size, sums, len(sizes.names))
    symbols = [chemical_symbols[number] for number in elements]
    return (
        _errors(symbols, counts.get("e"), by_element),
        _errors(sizes.names, counts.get("s"), by_size),
    )


def _add(totals: dict[str, Tensor], name: str, index: Tensor, sums: Tensor, n: int) -> None:
    """Add sums ``[rows, 3]`` to those of their groups ``[n, 3]``."""
    there = totals[name] if name in totals else sums.new_zeros(n, 3)
    totals[name] = there.index_add(0, index, sums)


def _errors(names: Sequence[str], counts: Tensor | None, totals: Mapping[str, Tensor]) -> Errors:
    if counts is None:
        return {}
    read = {name: values.tolist() for name, values in totals.items()}
    whole = {name: sum(row[0] for row in rows) for name, rows in read.items()}
    found: Errors = {}
    for i, (kind, n) in enumerate(zip(names, counts.tolist(), strict=True)):
        if not n:
            continue
        found[kind] = {"n": float(n)}
        for name, rows in read.items():
            squared, _, count = rows[i]
            if count:
                found[kind] |= errors_of(name, rows[i])
                found[kind][f"share_{name}"] = squared / whole[name] if whole[name] else 0.0
    return found
