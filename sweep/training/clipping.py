"""Clipping of gradients, at a fixed norm or relative to those of the last steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["WINDOW", "Clipping"]

WINDOW = 100
"""Steps over which the median norm is taken."""

_FEWEST = 10  # steps before there is a median to speak of


class Clipping:
    """Shortens gradients that are too long. Never waits for the device.

    A fixed limit acts on the common scale of the weights, a relative one does not: it is so many
    times the median norm of the last :data:`WINDOW` steps, and so of the spikes alone. With both,
    the smaller acts.

    Args:
        parameters: Whose gradients are clipped together.
        limit: Largest norm; None: any.
        relative: Largest norm as a multiple of the running median; None: any.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        *,
        limit: float | None,
        relative: float | None,
    ) -> None:
        self._parameters = list(parameters)
        self._limit = math.inf if limit is None else limit
        self._relative = relative
        first = self._parameters[0]
        self._norms = torch.full((WINDOW,), math.nan, dtype=first.dtype, device=first.device)
        self._n_steps = 0

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Clip; returns the norm before and the limit, both scalars on the device."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        limit = torch.full_like(norm, self._limit)
        if self._relative is not None:
            if self._n_steps >= _FEWEST:
                median = torch.nanmedian(self._norms)
                limit = torch.minimum(limit, self._relative * median.to(norm.dtype))
            self._norms[self._n_steps % WINDOW] = norm.detach()
            self._n_steps += 1
        if math.isfinite(self._limit) or self._relative is not None:
            factor = torch.clamp(limit / (norm + 1e-6), max=1.0)  # as torch's clip_grad_norm_
            torch._foreach_mul_(gradients, factor)
        return norm.detach(), limit

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds; empty where nothing is remembered."""
        if self._relative is None:
            return {}
        return {"norms": self._norms, "n_steps": self._n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if state:
            self._norms.copy_(state["norms"])
            self._n_steps = int(state["n_steps"])
