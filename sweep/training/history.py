"""The epochs of a training so far: how they are kept, judged again, and when they are enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweep.config.stages import Stage
from sweep.training.trainer import EpochReport

__all__ = ["as_saved", "ends_early", "is_due", "judged_again", "last_metrics", "read_history"]

_KEYS = ("epoch", "score", "best_score", "shares", "metrics")


def is_due(epoch: int, stage: Stage, interval: int) -> bool:
    """Whether an epoch is evaluated: every so many from 0 on, as in MACE, and the last of a stage.

    Args:
        epoch: The epoch.
        stage: Its stage.
        interval: Epochs between two evaluations.
    """
    return epoch % interval == 0 or epoch == stage.end


def last_metrics(history: Sequence[EpochReport], stage: Stage) -> dict[str, float] | None:
    """The metrics of the last epoch of a stage that was evaluated; None if none was yet."""
    found = (r.metrics for r in reversed(history) if r.is_evaluated and r.stage is stage)
    return next(found, None)


def ends_early(history: Sequence[EpochReport], last: Stage, patience: int | None) -> str | None:
    """Why a training ends after these epochs, before the end of its schedule; None if it does not.

    It ends when as many evaluations of the last stage, one after the other, were no better than
    the best of that stage before them. So the epochs alone decide, and a training that goes on from
    its records ends where it would have ended.

    Args:
        history: The epochs.
        last: The last stage.
        patience: How many evaluations.
    """
    if patience is None or not history or history[-1].epoch == last.end:
        return None
    best, n_worse = math.inf, 0
    for report in history:
        if report.stage.index == last.index and report.is_evaluated:
            n_worse = 0 if report.score < best else n_worse + 1
            best = min(best, report.score)
    if n_worse < patience:
        return None
    evaluations = f"{n_worse} evaluation{'s' if n_worse != 1 else ''}"
    return (
        f"ended after epoch {history[-1].epoch} of {last.end}: no better score in {evaluations} "
        "(trainer.patience)"
    )


def judged_again(
    history: Iterable[EpochReport],
    score: Callable[[dict[str, float]], float],
    *,
    takes_last: bool,
) -> list[EpochReport]:
    """The epochs as another objective sees them.

    Args:
        history: The epochs.
        score: Score of the metrics of an epoch.
        takes_last: Whether a training is judged by its last epoch.
    """
    found, value, best = [], math.inf, math.inf
    for report in history:
        metrics = report.metrics
        if report.is_evaluated:
            value = score(metrics)
            best = value if takes_last else min(best, value)
            metrics = {**metrics, "score": value}
        found.append(replace(report, score=value, best_score=best, metrics=metrics))
    return found


def as_saved(history: Iterable[EpochReport]) -> list[dict[str, Any]]:
    """The epochs as a checkpoint holds them."""
    return [{key: getattr(report, key) for key in _KEYS} for report in history]


def read_history(
    saved: Sequence[Mapping[str, Any]], n_epochs: int, stage_of: Callable[[int], Stage]
) -> list[EpochReport]:
    """The epochs of a checkpoint.

    Args:
        saved: What it holds of them.
        n_epochs: How many there must be.
        stage_of: Gives the stage of an epoch.

    Raises:
        ValueError: if they are others.
    """
    history = [
        EpochReport(stage=stage_of(entry["epoch"]), seconds=math.nan, **entry) for entry in saved
    ]
    if [report.epoch for report in history] != list(range(n_epochs)):
        raise ValueError(f"the history is not that of epochs 0 to {n_epochs - 1}")
    return history
