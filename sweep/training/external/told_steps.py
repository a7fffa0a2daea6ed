"""What a program told of the steps of an epoch, as columns of ``breakdown.parquet``."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from sweep.errors import TrainingError
from sweep.training.external.events import Step
from sweep.training.step_table import StepTable

__all__ = ["table_of"]


def table_of(epoch: int, steps: Sequence[Step], weights: Mapping[str, float]) -> StepTable:
    """Lay out what was told; the terms of the loss come first, then what else was told.

    Args:
        epoch: The epoch, for messages.
        steps: Its steps.
        weights: Weights of the stage, for what the program does not tell.

    Raises:
        TrainingError: if a value that was told, or the total loss, is not finite.
    """
    told = dict.fromkeys(name for step in steps for name in (*step.raw, *step.weighted))
    names = [name for name in weights if name in told]
    names += [name for name in told if name not in weights]
    rows = [_row(step, names, weights) for step in steps]
    shape = (len(rows), len(names))
    raw = np.array([[value for value, _ in row] for row in rows]).reshape(shape)
    acting = np.array([[weight for _, weight in row] for row in rows]).reshape(shape)
    total = np.array([
        np.nansum(r * w) if step.total is None else step.total
        for step, r, w in zip(steps, raw, acting, strict=True)
    ])  # fmt: skip
    _check_finite(epoch, steps, total)
    now = time.time()
    times = [now if step.time is None else step.time for step in steps]
    lr, norm = _column(steps, "lr"), _column(steps, "grad_norm")
    return StepTable(names, raw, acting, total, times, lr, norm)


def _row(step: Step, names: list[str], weights: Mapping[str, float]) -> list[tuple[float, float]]:
    """Raw value and weight of every term; a term that was not told is NaN."""
    row = []
    for name in names:
        weight = step.weights.get(name, weights.get(name, 1.0))
        raw = step.raw.get(name)
        if raw is None:
            weighted = step.weighted.get(name, math.nan)
            raw = weighted / weight if weight else 0.0
        row.append((raw, weight))
    return row


def _column(steps: Sequence[Step], key: str) -> np.ndarray | None:
    values = [getattr(step, key) for step in steps]
    if all(value is None for value in values):
        return None
    return np.array([math.nan if value is None else value for value in values])


def _check_finite(epoch: int, steps: Sequence[Step], total: np.ndarray) -> None:
    for number, (step, whole) in enumerate(zip(steps, total, strict=True)):
        told = {f"term '{n}'": v for n, v in (*step.raw.items(), *step.weighted.items())}
        told |= {"the total loss": float(whole)}
        for what, value in told.items():
            if not math.isfinite(value):
                where = number if step.step is None else step.step
                raise TrainingError(f"epoch {epoch}, step {where}: {what} is not finite")
