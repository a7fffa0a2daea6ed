"""Errors of mace's model in physical units, by sums over labelled entries, and the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sweep.data.statistics import deviation
from sweep.errors import InputError
from sweep.quantities import QUANTITIES
from sweep.training.metrics import error_sums, errors_of
from sweep.training.score import score

__all__ = ["Measurement", "labels_of"]

REPLAY_HEAD = "pt_head"
"""What mace calls the head of the data that a foundation model is fine-tuned beside."""

# Of mace's batches: their labels and weights have our names.
_NAMES = ("energy", "forces", "stress", "atomic_multipoles", "dipole", "polarizability")


class Measurement:
    """What is measured on the validation and test sets of a training.

    Heads are measured together, but for the replay head, whose score is the quantity ``replay``.

    Args:
        dataset: The training set of mace, of all heads.
        model: Its model.
        pred: The model's output for some batch: what it can predict.
        heads: Names of the heads.
        metrics: Quantities that the score is the geometric mean of, and their exponents.
        statistic: ``rmse`` or ``mae``.
        measured: Quantities that must be measured beside them.

    Attributes:
        quantities: Those that are labelled in the training set and predicted.
        scales: The standard deviation of their references there.
        multipoles_max_l: Largest l of the predicted multipoles; None if there are none.

    Raises:
        InputError: if a quantity that is asked for is not measurable.
    """

    def __init__(
        self,
        dataset: Sequence[Any],
        model: torch.nn.Module,
        pred: Mapping[str, Tensor | None],
        *,
        heads: Sequence[str],
        metrics: Mapping[str, float],
        statistic: str,
        measured: Sequence[str] = (),
    ) -> None:
        self._metrics = dict(metrics)
        self._statistic = statistic
        multipoles = pred.get("density_coefficients")
        self.multipoles_max_l = None if multipoles is None else math.isqrt(multipoles.shape[-1]) - 1
        self._replay = heads.index(REPLAY_HEAD) if REPLAY_HEAD in heads else None
        found = _deviations(dataset, model, pred, self._replay)
        self.scales, self._replay_scales = found
        self.quantities = list(self.scales)
        there = [*self.quantities, *(["replay"] if self._replay_scales else [])]
        for name in dict.fromkeys((*metrics, *measured)):
            if name not in there:
                raise InputError(
                    f"objective: '{name}' cannot be measured: it has no label in the training set "
                    f"or the model does not return it; there are: {', '.join(there)}"
                )
        for name in metrics:
            if not self.scales[name] > 0:
                raise InputError(
                    f"objective.metrics: '{name}' has the same value everywhere in the training "
                    "set, but for round-off, so its error has no scale"
                )

    def sums(self, pred: Mapping[str, Tensor | None], batch: Any) -> Tensor:
        """Sums of errors over a batch, shape [1 or 2, n_quantities, 3]; see :func:`error_sums`."""
        found = {key: value.detach() for key, value in pred.items() if isinstance(value, Tensor)}
        ref = labels_of(batch)
        head = batch.head if self._replay is not None else None
        parts = [ref if head is None else _only(ref, head != self._replay)]
        if head is not None:
            parts.append(_only(ref, head == self._replay))
        return torch.stack(
            [
                torch.stack([error_sums(QUANTITIES[name], found, part) for name in self.quantities])
                for part in parts
            ]
        )

    def metrics(self, sums: Tensor) -> dict[str, float]:
        """The errors and the ``score`` from the sums over all batches."""
        values = sums.tolist()
        metrics = self._errors(values[0])
        metrics["score"] = score(metrics, self.scales, self._metrics, self._statistic)
        if self._replay is not None:
            replay = self._errors(values[1])
            powers = {k: power for k, power in self._metrics.items() if self._replay_scales.get(k)}
            for statistic in ("rmse", "mae") if powers else ():
                metrics[f"{statistic}_replay"] = score(
                    replay, self._replay_scales, powers, statistic
                )
        return metrics

    def _errors(self, values: Sequence[Sequence[float]]) -> dict[str, float]:
        errors: dict[str, float] = {}
        for name, sums in zip(self.quantities, values, strict=True):
            errors |= errors_of(name, sums)
        return errors


def labels_of(batch: Any) -> dict[str, Tensor]:
    """Labels and weights of mace's batch, with a weight for the multipoles, which mace has not.

    Configurations of weight 0 count as unlabelled.
    """
    ref: dict[str, Tensor] = batch.to_dict()
    counts = ref["weight"] > 0
    ref.setdefault("density_coefficients_weight", torch.ones_like(ref["weight"]))
    return _only(ref, counts)


def _only(ref: Mapping[str, Tensor], graphs: Tensor) -> dict[str, Tensor]:
    """The same batch with labels for some graphs only."""
    masked = dict(ref)
    for key in {QUANTITIES[name].weight for name in _NAMES} & ref.keys():
        weight = ref[key]
        masked[key] = weight * graphs.reshape(-1, *(1,) * (weight.dim() - 1))
    return masked


def _deviations(
    dataset: Sequence[Any],
    model: torch.nn.Module,
    pred: Mapping[str, Tensor | None],
    replay: int | None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Standard deviations of the labelled and predicted quantities: of the data, of the replay."""
    names = [name for name in _NAMES if isinstance(pred.get(QUANTITIES[name].pred), Tensor)]
    values: tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]] = ({}, {})
    largest = 0.0
    for index in range(len(dataset)):
        item = dataset[index]
        if not item.weight > 0:
            continue
        part = values[1 if replay is not None and int(item.head) == replay else 0]
        for name in names:
            label = _labelled(item, name, pred)
            if name == "energy" and label.numel():
                n_atoms = len(item.node_attrs)
                largest = max(largest, abs(label.item()) / n_atoms)
                label = (label - _isolated(model, item)) / n_atoms
            if label.numel():
                part.setdefault(name, []).append(label.reshape(-1).double())
    main, other = ({name: torch.cat(parts).numpy() for name, parts in v.items()} for v in values)
    _drop_absent_multipoles(main)
    return _spread(main, largest), _spread(other, largest)


def _labelled(item: Any, name: str, pred: Mapping[str, Tensor | None]) -> Tensor:
    """The labelled entries of a quantity of one configuration, of any shape."""
    quantity = QUANTITIES[name]
    label: Tensor = item[quantity.ref]
    if quantity.weight not in item:
        width = pred[quantity.pred]
        return label if width is None else label[:, : width.shape[1]]
    weight: Tensor = item[quantity.weight]
    if weight.numel() == 1:
        return label if weight > 0 else label.new_zeros(0)
    return label[weight.reshape(label.shape) > 0]


def _isolated(model: torch.nn.Module, item: Any) -> Tensor:
    """Energy of the isolated atoms of a configuration, as the model has it."""
    device = next(model.parameters()).device
    energies = model.atomic_energies_fn(item.node_attrs.to(device))  # type: ignore[operator]
    return energies.cpu()[:, min(int(item.head), energies.shape[1] - 1)].sum()  # type: ignore[no-any-return]


def _drop_absent_multipoles(values: dict[str, np.ndarray]) -> None:
    """Mace puts zeros where there are none at all."""
    multipoles = values.get("atomic_multipoles")
    if multipoles is not None and not multipoles.any():
        del values["atomic_multipoles"]


def _spread(values: Mapping[str, np.ndarray], largest: float) -> dict[str, float]:
    return {
        name: deviation(
            v, largest if name == "energy" else float(np.abs(v).max()) if v.size else math.nan, name
        )
        for name, v in values.items()
    }
