"""Weighted means of squares, evaluated many at once by one autograd node.

Evaluated one by one, most of the time goes into building and walking the autograd graph of small
tensors, not into arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losses.squares import Squares


def mean_squares(terms: Sequence[Squares]) -> tuple[Tensor, ...]:
    """Return the value of each term, a scalar; differentiable twice and under vmap."""
    # One list per kind, because autograd functions take flat arguments.
    predictions, references, weights = zip(*terms, strict=True)
    outputs = _MeanSquares.apply(  # type: ignore[no-untyped-call]
        *predictions, *references, *weights
    )
    return tuple(outputs[: len(terms)])


class _MeanSquares(torch.autograd.Function):
    """Takes n predictions, n references (or None) and n weights; returns n values, n slopes.

    The slopes, weight times difference, spare an ordinary backward pass from computing them
    again. They are constants to autograd, so a backward pass that is itself to be differentiated
    starts again from the inputs.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(*tensors: Tensor | None) -> tuple[Tensor, ...]:
        values = []
        slopes = []
        for prediction, reference, weight in _triples(tensors):
            difference = _difference(prediction, reference)
            slope = difference * weight
            values.append((slope * difference).mean())
            slopes.append(slope)
        return (*values, *slopes)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        slopes = output[len(output) // 2 :]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*slopes)
        ctx.save_for_backward(*inputs, *slopes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        n = len(grads) // 2
        inputs, slopes = ctx.saved_tensors[: 3 * n], ctx.saved_tensors[3 * n :]
        if torch.is_grad_enabled():
            slopes = [_difference(p, r) * weight for p, r, weight in _triples(inputs)]
        wanted = ctx.needs_input_grad
        results: list[Tensor | None] = [None] * (3 * n)
        for i, (slope, grad) in enumerate(zip(slopes, grads, strict=False)):
            if grad is None or not (wanted[i] or wanted[n + i]):
                continue
            gradient = slope * (grad * (2.0 / slope.numel()))
            if wanted[i]:
                results[i] = gradient
            if wanted[n + i]:
                results[n + i] = -gradient
        return tuple(results)


def _triples(tensors: Sequence[Any]) -> list[tuple[Tensor, Tensor | None, Tensor]]:
    n = len(tensors) // 3
    return list(zip(tensors[:n], tensors[n : 2 * n], tensors[2 * n :], strict=True))


def _difference(prediction: Tensor, reference: Tensor | None) -> Tensor:
    return prediction if reference is None else prediction - reference
