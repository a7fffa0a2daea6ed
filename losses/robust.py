"""The Huber function that the robust variants of the terms share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def huber(error: Tensor, delta: float) -> Tensor:
    """Return the mean of the Huber function of ``error``: e²/2 up to ``delta``, linear beyond."""
    from torch.nn import functional

    return functional.huber_loss(error, error.new_zeros(error.shape), delta=delta)


def huber_each(error: Tensor, delta: Tensor) -> Tensor:
    """Return the mean of the Huber function with a ``delta`` for each element (broadcast)."""
    size = error.abs()
    return (0.5 * size * size).where(size <= delta, delta * (size - 0.5 * delta)).mean()
