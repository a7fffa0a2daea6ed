"""What a program that trains tells: optimiser steps and evaluations. Imports no torch.

Lines of JSON in our own form are read here; every other form has a module of its own and ends in
the same two types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Balance", "Evaluation", "Event", "Step", "event_of", "parse_json"]

_SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Step:
    """One optimiser step; what is not told is None or not there.

    Attributes:
        epoch: Its epoch; None: the one after the last that was evaluated.
        step: Its number, in the epoch or since the start; None: the next one.
        raw: Unweighted values of terms.
        weighted: Weighted values of terms, where the unweighted ones are not told.
        weights: Weights that acted; those of the configuration where they are not told.
        total: The total loss; the sum of the weighted values if it is not told.
        lr: Learning rate.
        grad_norm: Norm of the gradient before clipping.
        time: Wall-clock time in seconds since 1970.
    """

    epoch: int | None = None
    step: int | None = None
    raw: Mapping[str, float] = field(default_factory=dict)
    weighted: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    total: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    time: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Errors on the validation or the test set.

    Attributes:
        epoch: Its epoch; None: the next one, of the test set the one that the trial is judged by.
        split: ``valid`` or ``test``.
        metrics: What was measured, under the program's own names.
        name: Of the test set, where the program gives one: it may have several.
    """

    epoch: int | None = None
    split: str = "valid"
    metrics: Mapping[str, float] = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True)
class Balance:
    """A measurement of the gradients of the terms in an epoch.

    Attributes:
        epoch: The epoch.
        terms: Names of the terms.
        raw: Norm of the gradient of each raw value.
        weighted: Norm of the gradient of each weighted value.
        cosine: Cosine between the gradients of each two terms, one row per term.
    """

    epoch: int
    terms: tuple[str, ...]
    raw: tuple[float, ...]
    weighted: tuple[float, ...]
    cosine: tuple[tuple[float, ...], ...]


Event = Step | Evaluation | Balance


def event_of(content: Any, first_epoch: int = 0) -> Event | None:
    """What a line of JSON in our form tells; None if nothing that is used.

    A mapping with ``step`` is an optimiser step; one without is an evaluation whose numbers are its
    metrics. An epoch of null, as before the training, is none.

    Args:
        content: The line.
        first_epoch: The program's number of its first epoch.
    """
    if not isinstance(content, Mapping):
        return None
    epoch = content.get("epoch")
    if "epoch" in content and not _is_whole(epoch):
        return None
    epoch = None if epoch is None else int(epoch) - first_epoch
    if epoch is not None and epoch < 0:
        return None
    if "step" in content:
        step = content["step"]
        return Step(
            epoch=epoch,
            step=int(step) if _is_whole(step) else None,
            raw=_numbers(content.get("raw")),
            weighted=_numbers(content.get("weighted")),
            weights=_numbers(content.get("weights")),
            total=_number(content.get("total", content.get("loss"))),
            lr=_number(content.get("lr")),
            grad_norm=_number(content.get("grad_norm")),
            time=_number(content.get("time")),
        )
    split = content.get("split", "valid")
    metrics = _numbers({k: v for k, v in content.items() if k not in ("epoch", "split")})
    return Evaluation(epoch, split, metrics) if metrics and split in _SPLITS else None


def parse_json(line: str) -> Any:
    """The content of a line of JSON; None if it is none."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _is_whole(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value == int(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _numbers(content: Any) -> dict[str, float]:
    items = content.items() if isinstance(content, Mapping) else ()
    return {str(k): number for k, v in items if (number := _number(v)) is not None}
