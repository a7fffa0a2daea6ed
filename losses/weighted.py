"""Terms and weights: the total loss and its breakdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from losses.base import LossError, Option, Term, get, nearest
from losses.batch import Labels, Outputs, Quantities
from losses.mean_squares import mean_squares
from losses.squares import Squares


@dataclass(frozen=True)
class Breakdown:
    """What each term contributed to the loss of one batch.

    Attributes:
        names: names of the terms, in the order in which they were configured.
        active: names of those that were evaluated, whose weight is not 0.
        raw: unweighted values, ``[n_terms]``; 0 for a term of weight 0, which is not evaluated.
        weighted: weight times raw value, ``[n_terms]``.
        total: sum of ``weighted``, a scalar.
    """

    names: tuple[str, ...]
    active: tuple[str, ...]
    raw: Tensor
    weighted: Tensor
    total: Tensor

    @property
    def share(self) -> Tensor:
        """Weighted value over total, ``[n_terms]``, detached; 0 throughout if the total is 0."""
        total = self.total.detach()
        return self.weighted.detach() / torch.where(total == 0, torch.ones_like(total), total)


class WeightedLoss(torch.nn.Module):
    """Weighted sum of loss terms, usable as MACE's ``loss_fn``.

    The weights are a tensor, a buffer ``weights`` of shape ``[n_terms]`` that moves with
    ``.to(device)``; changing them rebuilds nothing. No method that runs in a training step waits
    for the device.

    Args:
        terms: for each term its weight, or a mapping with ``weight`` and options. Weights are
            finite numbers, at least 0; a term of weight 0 is not evaluated.
        device: where the weights live; must be that of the batches.
        dtype: of the stored weights; float64 if not given. Values always take the dtype of the
            predictions.

    Raises:
        LossError: for an unknown term or option, and for a weight or an option that is no number
            or out of range.

    Example:
        >>> loss = WeightedLoss({"energy_per_atom": 1, "forces": {"weight": 100.0}})
        >>> loss.names
        ('energy_per_atom', 'forces')
    """

    weights: Tensor

    def __init__(
        self,
        terms: Mapping[str, object],
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(terms, Mapping) or not terms:
            raise LossError(f"a loss needs at least one term, got {terms!r}")
        self._options: dict[str, dict[str, Option]] = {}
        # The host keeps its own copy of the weights: to know which terms to leave out without
        # asking the device.
        self._on_host: dict[str, float] = {}
        for name, setting in terms.items():
            self._on_host[name], self._options[name] = _setting(name, setting)
        self.register_buffer(
            "weights",
            torch.tensor(list(self._on_host.values()), dtype=dtype or torch.float64, device=device),
            persistent=False,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all configured terms, in order, those of weight 0 included."""
        return tuple(self._on_host)

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the terms that are evaluated: those whose weight is not 0."""
        return tuple(name for name, weight in self._on_host.items() if weight != 0)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Change some weights in place; terms that are not named keep theirs.

        Raises:
            LossError: if a name is not one of this loss, or a weight is not valid; nothing is
                changed then.
        """
        checked = {}
        for name, weight in weights.items():
            if name not in self._on_host:
                raise LossError(f"this loss has no term {name!r}; {nearest(name, self._on_host)}")
            checked[name] = _weight(name, weight)
        self._on_host.update(checked)
        with torch.no_grad():
            self.weights.copy_(torch.tensor(list(self._on_host.values()), dtype=torch.float64))

    def forward(self, pred: Outputs, ref: Labels) -> Tensor:
        """Return the total loss, a scalar.

        Args:
            pred: the model's output.
            ref: the batch with its labels and weights; a mapping or a MACE ``Batch``.

        Raises:
            LossError: if an output or label that a term needs is missing or misshapen.
        """
        return self.breakdown(pred=pred, ref=ref).total

    def breakdown(self, pred: Outputs, ref: Labels) -> Breakdown:
        """Return what each term contributed; ``total`` is exactly the loss of the same batch.

        ``raw``, ``weighted`` and ``total`` are part of the autograd graph: detach to keep them.
        """
        raw = self.raw(pred=pred, ref=ref)
        weighted = raw * self.weights.to(raw.dtype)
        return Breakdown(self.names, self.active, raw, weighted, weighted.sum())

    def raw(self, pred: Outputs, ref: Labels) -> Tensor:
        """Return the unweighted values, ``[n_terms]``; 0 for a term of weight 0.

        Works under ``torch.func.vmap`` over stacked predictions with a shared ``ref``, which gives
        ``[K, n_terms]`` for K members trained together.
        """
        values = self.raw_values(pred=pred, ref=ref)
        zero = next(iter(values.values())).new_zeros(()) if values else _zero(pred)
        return torch.stack([values.get(name, zero) for name in self._on_host])

    def raw_values(self, pred: Outputs, ref: Labels) -> dict[str, Tensor]:
        """Return the unweighted value of each term whose weight is not 0, a scalar each.

        Differentiating one of them walks the graph of that term only.
        """
        active = self.active
        chosen = [(get(name), self._options[name]) for name in active]
        return dict(zip(active, _values(Quantities(pred, ref), chosen), strict=True))


def evaluate(name: str, *, pred: Outputs, ref: Labels, **options: object) -> Tensor:
    """Return the raw value of one term, a scalar in the dtype of the prediction.

    Raises:
        LossError: for an unknown term or option, a bad option, a missing or misshapen tensor.
    """
    term = get(name)
    return _values(Quantities(pred, ref), [(term, term.check(options))])[0]


def _values(q: Quantities, terms: list[tuple[Term, dict[str, Option]]]) -> list[Tensor]:
    values: list[Tensor | None] = []
    squares: list[Squares] = []
    for term, options in terms:
        q.term = term.name
        value = term.function(q, **options)
        if isinstance(value, Squares):
            squares.append(value)
            values.append(None)
        else:
            values.append(value)
    of_squares = iter(mean_squares(squares) if squares else ())
    return [next(of_squares) if value is None else value for value in values]


def _zero(pred: Outputs) -> Tensor:
    """Return a zero that hangs on the graph of the prediction, whatever values that has."""
    for value in pred.values():
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.reshape(-1)[:0].sum()
    raise LossError("the model returned no floating-point tensor")


def _setting(name: str, setting: object) -> tuple[float, dict[str, Option]]:
    term = get(name)
    if not isinstance(setting, Mapping):
        return _weight(name, setting), term.check({})
    options = dict(setting)
    if "weight" not in options:
        raise LossError(f"term {name!r} needs a 'weight', got only {sorted(options)}")
    return _weight(name, options.pop("weight")), term.check(options)


def _weight(name: str, weight: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, Real):
        raise LossError(f"the weight of term {name!r} must be a number, got {weight!r}")
    if not math.isfinite(weight) or weight < 0:
        raise LossError(
            f"the weight of term {name!r} must be finite and at least 0, got {weight!r}"
        )
    return float(weight)
