"""The weighting that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from losses import scalarization
from losses.weighting import GradientShares, LossShares, Weighting

__all__ = ["make_weighting"]


def make_weighting(
    options: Mapping[str, Any], names: Sequence[str], device: torch.device
) -> Weighting | None:
    """The configured weighting; None where the weights of the loss stay as they are.

    Args:
        options: The node ``weighting``, checked.
        names: The terms of all stages.
        device: Where the model is.
    """
    name = options["name"]
    where: dict[str, Any] = {"names": names, "device": device}
    if name == "fixed":
        return None
    if name in ("gradient_shares", "loss_shares"):
        shares = {term: options["shares"].get(term, 1.0) for term in names}
        common = {"smoothing": options["smoothing"], "ceiling": options["ceiling"], **where}
        if name == "loss_shares":
            return LossShares(shares, **common)
        return GradientShares(shares, interval=options["interval"], **common)
    if name == "geometric_mean":
        return scalarization.GeometricMean(**where)
    if name == "stch":
        return scalarization.STCH(mu=options["mu"], **where)
    if name == "dwa":
        temperature, interval = options["temperature"], options["interval"]
        return scalarization.DWA(temperature=temperature, interval=interval, **where)
    kinds = {
        "uncertainty": scalarization.Uncertainty,
        "imtl_l": scalarization.IMTLL,
        "famo": scalarization.FAMO,
    }
    return kinds[name](lr=options["lr"], **where)
