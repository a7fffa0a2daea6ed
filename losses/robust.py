"""The Huber function that the robust variants of the terms share."""

import torch
from torch import Tensor
from torch.nn import functional


def huber(error: Tensor, delta: float) -> Tensor:
    """Return the mean of the Huber function of ``error``: e²/2 up to ``delta``, linear beyond."""
    return functional.huber_loss(error, torch.zeros_like(error), delta=delta)


def huber_each(error: Tensor, delta: Tensor) -> Tensor:
    """Return the mean of the Huber function with a ``delta`` for each element (broadcast)."""
    size = error.abs()
    return torch.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)).mean()
