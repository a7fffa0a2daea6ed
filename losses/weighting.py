"""Weights that follow the training: each term keeps its share of the gradient, or of the loss.

Instead of ``total.backward()`` a training step calls :meth:`Weighting.backward`::

    weighting = losses.GradientShares({"forces": 2.0}, names=loss.names)
    ...
    values = loss.raw_values(pred=model(batch), ref=batch)
    optimizer.zero_grad()
    weights = weighting.backward(values, model.parameters())
    optimizer.step()

Nothing here waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from losses.base import LossError, nearest

__all__ = ["GradientShares", "LossShares", "Shares", "Weighting", "descend"]


LARGEST_LAG = 10.0
"""The smoothed size of a term is at most so many times smaller than the one last measured."""


class Weighting(torch.nn.Module):
    """Base of weights that follow the training.

    Args:
        names: The terms of all stages.
    """

    needs_second_look: ClassVar[bool] = False
    """Whether :meth:`look_again` must be called after every step of the optimiser."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def backward(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        """Add the gradient of the weighted sum to ``.grad`` of the parameters.

        Args:
            values: The raw value of each term that is on in this stage, scalars in the graph of
                the model; for example from :meth:`losses.WeightedLoss.raw_values`.
            parameters: The parameters that are trained.

        Returns:
            The weights that acted, in the order of ``values``, shape ``[n_terms]``, detached.

        Raises:
            LossError: for a term that the weighting does not have, or if no term has a share.
        """
        for name in values:
            if name not in self.names:
                raise LossError(f"unknown term {name!r}; {nearest(name, self.names)}")
        return self._backward(values, parameters)

    def _backward(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        """What :meth:`backward` says, for known terms."""
        raise NotImplementedError

    def look_again(self, values: Mapping[str, Tensor]) -> None:
        """Take in the raw values of the same batch after the step, where they are needed."""


class Shares(Weighting):
    """Base of weightings that give every term a share of something that is measured.

    The weight of term k is ``share_k / size_k``, with shares that sum to 1 and a size that is
    smoothed in the logarithm over the measurements. A term whose size was never above zero has
    weight 0 until it is; one whose size is zero or not finite at one measurement keeps its last.

    Args:
        shares: Share of each term, relative to the others; 1 for those that are not named. A share
            of 0 switches the term off.
        names: The terms of all stages.
        smoothing: What the size of before counts against the new measurement, from 0 to below 1.
        ceiling: How many times more the weight of a term may have grown since its first
            measurement than the weights of the terms on (geometric) average: a term whose size
            vanishes would take over the rounding noise of the others.

    Raises:
        LossError: if a share is negative or not finite, all are 0, a name is unknown, or an option
            is out of range.
    """

    size: Tensor
    first: Tensor
    seen: Tensor

    def __init__(
        self,
        shares: Mapping[str, float],
        *,
        names: Sequence[str],
        smoothing: float,
        ceiling: float,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(names)
        if not 0 <= smoothing < 1:
            raise LossError(f"smoothing must be at least 0 and below 1, got {smoothing!r}")
        if not ceiling > 1:
            raise LossError(f"ceiling must be above 1, got {ceiling!r}")
        self._rows: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}
        self.set_shares(shares)
        self.smoothing = smoothing
        self.ceiling = ceiling
        self._step = 0
        self._current: tuple[str, ...] = ()
        for name in ("size", "first"):  # logarithms
            zeros = torch.zeros(len(self.names), dtype=torch.float64, device=device)
            self.register_buffer(name, zeros)
        none = torch.zeros(len(self.names), dtype=torch.bool, device=device)
        self.register_buffer("seen", none)

    def set_shares(self, shares: Mapping[str, float]) -> None:
        """Change the shares, as for a stage with shares of its own; what was measured stays.

        Shares are no part of ``state_dict()``: set them again before training goes on.

        Args:
            shares: As of the class.

        Raises:
            LossError: if a share is negative or not finite, all are 0, or a name is unknown.
        """
        for name, share in shares.items():
            if name not in self.names:
                raise LossError(
                    f"there is no term {name!r} to give a share; {nearest(name, self.names)}"
                )
            if not (math.isfinite(share) and share >= 0):
                raise LossError(
                    f"the share of term {name!r} must be finite and at least 0, got {share!r}"
                )
        found = {name: float(shares.get(name, 1.0)) for name in self.names}
        if not any(found.values()):
            raise LossError("all shares are 0")
        self.shares = found
        self._rows.clear()

    def _backward(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        on = {name: value for name, value in values.items() if self.shares[name] > 0}
        if not on:
            raise LossError(f"the shares of all terms are 0: {', '.join(values)}")
        acting = dict(zip(on, self._share(on, parameters).unbind(), strict=True))
        zero = self.size.new_zeros(())
        return torch.stack([acting.get(name, zero) for name in values])

    def _share(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        """What :meth:`backward` says, for terms with a share."""
        raise NotImplementedError

    def get_extra_state(self) -> dict[str, Any]:
        """Part of ``state_dict()``: plain values."""
        return {"step": self._step, "current": list(self._current)}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """See :meth:`get_extra_state`."""
        self._step, self._current = state["step"], tuple(state["current"])

    def _index(self, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """Rows of these terms in the state, and the logarithms of their shares."""
        if names not in self._rows:
            whole = sum(self.shares[name] for name in names)
            rows = torch.tensor([self.names.index(name) for name in names])
            shares = torch.tensor([self.shares[name] for name in names], dtype=torch.float64)
            self._rows[names] = (
                rows.to(self.size.device),
                (shares / whole).log().to(self.size.device),
            )
        return self._rows[names]

    def _see(self, names: tuple[str, ...], sizes: Tensor) -> None:
        """Take in a measurement, shape ``[n_terms]``."""
        rows, _ = self._index(names)
        sizes = sizes.detach().double()
        valid = torch.isfinite(sizes) & (sizes > 0)
        logs = torch.where(valid, sizes, 1.0).log()
        seen, size, first = self.seen[rows], self.size[rows], self.first[rows]
        smoothed = torch.where(seen, self.smoothing * size + (1 - self.smoothing) * logs, logs)
        # A term that wakes, as from round-off to its true size, must not keep its old weight.
        smoothed = torch.maximum(smoothed, logs - math.log(LARGEST_LAG))
        self.size[rows] = torch.where(valid, smoothed, size)
        self.first[rows] = torch.where(valid & ~seen, logs, first)
        self.seen[rows] = seen | valid

    def _weights(self, names: tuple[str, ...]) -> Tensor:
        """The present weights, shape ``[n_terms]``, float64."""
        rows, shares = self._index(names)
        seen, first = self.seen[rows], self.first[rows]
        growth = torch.where(seen, first - self.size[rows], 0.0)
        mean = growth.sum() / seen.sum().clamp(min=1)
        limited = torch.minimum(growth, mean + math.log(self.ceiling))
        return torch.where(seen, (shares - first + limited).exp(), 0.0)


class GradientShares(Shares):
    """Every term keeps its share of the gradient: ``weight_k = share_k / |gradient of raw_k|``.

    The norms are measured in the first step, every ``interval`` steps, and when the terms change;
    such a step costs one backward pass per term instead of one, and reuses its own forward pass
    and these gradients: their weighted sum is the gradient that trains. It holds the gradients of
    all terms at once. Weighted so, the gradient has a norm of at most 1, so that clipping at a
    larger norm never acts.

    Equal gradient norms as a weighting: Chen et al., GradNorm, arXiv 1711.02257, without its
    learned rates.
    """

    def __init__(
        self,
        shares: Mapping[str, float] | None = None,
        *,
        names: Sequence[str],
        interval: int = 20,
        smoothing: float = 0.7,
        ceiling: float = 1000.0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(
            shares or {}, names=names, smoothing=smoothing, ceiling=ceiling, device=device
        )
        if interval < 1:
            raise LossError(f"interval must be at least 1, got {interval!r}")
        self.interval = interval

    def _share(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        names = tuple(values)
        is_due = names != self._current or self._step % self.interval == 0
        self._step, self._current = self._step + 1, names
        if not is_due:
            return descend(values, self._weights(names))
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = _gradients(list(values.values()), trained)
        zero = next(iter(values.values())).detach().new_zeros(())
        norms = [
            torch.nn.utils.get_total_norm(list(of.values())) if of else zero for of in gradients
        ]
        self._see(names, torch.stack(norms))
        weights = self._weights(names)
        _add_weighted(gradients, weights, trained)
        return weights


class LossShares(Shares):
    """Every term keeps its share of the loss: ``weight_k = share_k / raw_k``, smoothed.

    Costs nothing, but a term with a small gradient for its value stays behind.
    """

    def __init__(
        self,
        shares: Mapping[str, float] | None = None,
        *,
        names: Sequence[str],
        smoothing: float = 0.9,
        ceiling: float = 1000.0,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(
            shares or {}, names=names, smoothing=smoothing, ceiling=ceiling, device=device
        )

    def _share(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        # Here all parameters in the graph get their gradient.
        names = tuple(values)
        self._step, self._current = self._step + 1, names
        self._see(names, torch.stack([value.detach() for value in values.values()]))
        return descend(values, self._weights(names))


def descend(values: Mapping[str, Tensor], weights: Tensor) -> Tensor:
    """Add the gradient of the sum with these weights, shape ``[n_terms]``; returns the weights."""
    stacked = torch.stack(list(values.values()))
    (stacked * weights.to(stacked.dtype)).sum().backward()
    return weights


def _gradients(values: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[dict[int, Tensor]]:
    """For every value its gradients by the index of the parameter; empty where there is none."""
    last = max((i for i, value in enumerate(values) if value.requires_grad), default=-1)
    found: list[dict[int, Tensor]] = []
    for i, value in enumerate(values):
        if not value.requires_grad:
            found.append({})
            continue
        each = torch.autograd.grad(value, parameters, retain_graph=i != last, allow_unused=True)
        found.append({j: g for j, g in enumerate(each) if g is not None})
    return found


def _add_weighted(
    gradients: Sequence[Mapping[int, Tensor]], weights: Tensor, parameters: Sequence[Tensor]
) -> None:
    for of, weight in zip(gradients, weights, strict=True):
        for j, gradient in of.items():
            scaled = gradient * weight.to(gradient.dtype)
            parameter = parameters[j]
            parameter.grad = scaled if parameter.grad is None else parameter.grad + scaled
