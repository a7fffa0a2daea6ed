"""How the terms of a loss stand to each other: their shares, their gradients, balanced weights.

Imports no torch: what works on plain numbers serves the records of trainings, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from losses.base import LossError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from losses.batch import Labels, Outputs
    from losses.weighted import Breakdown, WeightedLoss

STARVED: Final = 0.01
"""A term is starved if its share of the total is below this: training hardly sees it."""

NEGLIGIBLE: Final = 1e-12
"""A gradient below this fraction of the reference term's is rounding noise and counts as none."""


@dataclass(frozen=True)
class Balance:
    """How the loss divides among the terms that are switched on.

    Attributes:
        share: share of each term, weighted value over total; all 0 if the total is 0.
        dominant: the term with the largest share.
        effective: effective number of terms, the exponential of the entropy of the shares: the
            number of equal terms that would be as mixed. 1 if one term makes up everything, 0 if
            the total is 0.
        starved: the terms with a share below :data:`STARVED`.
    """

    share: dict[str, float]
    dominant: str
    effective: float
    starved: tuple[str, ...]


@dataclass(frozen=True)
class GradientBalance:
    """Gradients of the terms with respect to the parameters of a model.

    Attributes:
        names: names of the terms, those of weight 0 included (their entries are 0).
        raw: norm of the gradient of each raw value, ``[n_terms]``.
        weighted: norm of the gradient of each weighted value, ``[n_terms]``.
        cosine: cosine between the gradients of each two terms, ``[n_terms, n_terms]``. Negative
            where two terms fight; 0 where one has no gradient. Weights do not change it.
    """

    names: tuple[str, ...]
    raw: Tensor
    weighted: Tensor
    cosine: Tensor


def shares_of(weighted: Mapping[str, float]) -> dict[str, float]:
    """Return each weighted value over their sum; all 0 if that is 0."""
    total = sum(weighted.values())
    return {name: value / total if total else 0.0 for name, value in weighted.items()}


def starved_terms(share: Mapping[str, float]) -> tuple[str, ...]:
    """Return the terms with a share below :data:`STARVED`."""
    return tuple(name for name, value in share.items() if value < STARVED)


def shares(breakdown: Breakdown) -> dict[str, float]:
    """Return weighted value over total of every term that is switched on.

    Reads values back from the device, so it is meant for the end of an epoch, not for each step.
    """
    values = dict(zip(breakdown.names, breakdown.share.tolist(), strict=True))
    return {name: values[name] for name in breakdown.active}


def effective_terms(share: Iterable[float]) -> float:
    """Return the exponential of the entropy of shares that sum to 1; 0 if all are 0."""
    positive = [value for value in share if value > 0]
    if not positive:
        return 0.0
    return math.exp(-sum(value * math.log(value) for value in positive))


def summarize(breakdowns: Breakdown | Sequence[Breakdown]) -> Balance:
    """Return the balance of one batch, or its average over several of the same loss.

    Shares are averaged, not values, so that the large losses of the first steps do not decide.

    Raises:
        LossError: without breakdowns, if no term is switched on, if they are of different terms,
            or if a value is not finite; the message names the first such term.
    """
    many = list(breakdowns) if isinstance(breakdowns, Sequence) else [breakdowns]
    if not many or not many[0].active:
        raise LossError("a balance needs at least one breakdown with a term that is switched on")
    for breakdown in many:
        if breakdown.active != many[0].active:
            raise LossError(
                f"breakdowns of different terms cannot be averaged: "
                f"{', '.join(many[0].active)} and {', '.join(breakdown.active)}"
            )
        for name, value in zip(breakdown.names, breakdown.weighted.tolist(), strict=True):
            if not math.isfinite(value):
                raise LossError(f"no balance: the weighted value of term {name!r} is {value}")
    each = [shares(breakdown) for breakdown in many]
    # Batches with a total of 0 have no shares; without them the rest sums to 1 again.
    share = shares_of({name: sum(one[name] for one in each) for name in many[0].active})
    return Balance(
        share=share,
        dominant=max(share, key=lambda name: share[name]),
        effective=effective_terms(share.values()),
        starved=starved_terms(share),
    )


def gradient_norms(
    loss: WeightedLoss,
    parameters: torch.nn.Module | Iterable[Tensor],
    pred: Outputs,
    ref: Labels,
) -> GradientBalance:
    """Return norms and cosines of the gradients of the terms.

    Costs one backward pass for each term that is switched on and leaves the graph of ``pred`` and
    the ``.grad`` of the parameters as they are.

    Args:
        loss: the terms and weights.
        parameters: a model, or tensors; those that require no gradient are left out.
        pred: output of the model, with its graph.
        ref: the batch.

    Raises:
        LossError: if nothing requires a gradient.
    """
    import torch

    given = parameters.parameters() if isinstance(parameters, torch.nn.Module) else parameters
    wanted = [parameter for parameter in given if parameter.requires_grad]
    if not wanted:
        raise LossError("gradient norms need at least one parameter that requires a gradient")
    values = loss.raw_values(pred=pred, ref=ref)
    rows = []
    for name in loss.names:
        value = values.get(name)
        grads: Sequence[Tensor | None] = [None] * len(wanted)
        if value is not None and value.requires_grad:
            grads = torch.autograd.grad(value, wanted, retain_graph=True, allow_unused=True)
        rows.append(
            torch.cat(
                [
                    (torch.zeros_like(parameter) if grad is None else grad).reshape(-1)
                    for grad, parameter in zip(grads, wanted, strict=True)
                ]
            )
        )
    gradients = torch.stack(rows)
    norms = torch.linalg.vector_norm(gradients, dim=1)
    units = gradients / torch.where(norms == 0, torch.ones_like(norms), norms).unsqueeze(1)
    return GradientBalance(
        names=loss.names,
        raw=norms,
        weighted=norms * loss.weights.to(norms.dtype),
        cosine=(units @ units.T).clamp(-1, 1),
    )


def balanced_weights(
    weights: Mapping[str, float],
    norms: Tensor,
    reference: str,
    prior: float = 0.0,
) -> dict[str, float]:
    """Return weights that make the weighted gradients of all terms equally long.

    The weight of the reference term stays, because the common scale of all weights means nothing.
    Another term's weight becomes ``w_ref * |g_ref| / |g|``, interpolated geometrically with the
    given weight: ``balanced**(1 - prior) * given**prior``. With several measuring points the ratio
    of the norms is their geometric mean over the points at which both terms have a gradient. A
    term that never has one together with the reference term, or whose weight is 0, keeps its
    weight.

    Args:
        weights: the weights to start from.
        norms: norms of the *raw* gradients (:attr:`GradientBalance.raw`) in the order of
            ``weights``, ``[n_terms]`` or ``[n_points, n_terms]``.
        reference: the term whose weight stays.
        prior: 0 for pure balance, 1 for the given weights.

    Raises:
        LossError: for an unknown or weightless reference, norms of another shape, negative or not
            finite, a prior outside [0, 1], or if the reference term has no gradient anywhere.
    """
    names = list(weights)
    if reference not in weights:
        raise LossError(f"reference {reference!r} is not a term; {nearest(reference, names)}")
    if not 0.0 <= prior <= 1.0:
        raise LossError(f"prior must lie between 0 and 1, got {prior!r}")
    if weights[reference] <= 0:
        raise LossError(f"the weight of the reference term {reference!r} must be larger than 0")
    if norms.dim() not in (1, 2) or norms.shape[-1] != len(names):
        raise LossError(
            f"norms have shape {list(norms.shape)}, expected [{len(names)}] "
            f"or [n_points, {len(names)}]"
        )
    points: list[list[float]] = norms.detach().double().reshape(-1, len(names)).tolist()
    for point in points:
        for name, norm in zip(names, point, strict=True):
            if not math.isfinite(norm) or norm < 0:
                raise LossError(f"the gradient norm of term {name!r} is {norm}")
    of_reference = [point[names.index(reference)] for point in points]
    if not any(of_reference):
        raise LossError(f"the reference term {reference!r} has no gradient, nothing to balance to")
    balanced = {}
    for i, name in enumerate(names):
        given = float(weights[name])
        ratios = [
            math.log(anchor / point[i])
            for anchor, point in zip(of_reference, points, strict=True)
            if anchor > 0 and point[i] > NEGLIGIBLE * anchor
        ]
        if name == reference or given == 0 or not ratios:
            balanced[name] = given
            continue
        log_equal = math.log(weights[reference]) + sum(ratios) / len(ratios)
        balanced[name] = math.exp((1 - prior) * log_equal + prior * math.log(given))
    return balanced
