"""The Pareto front of several objectives and its knee; smaller is better in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sweep.records.trial import Trial

__all__ = ["Front", "front_of", "knee", "pareto_indices"]


@dataclass(frozen=True)
class Front:
    """The trials of a study of several objectives that no other beats in all of them.

    Attributes:
        minimize: The objectives: ``score`` or quantities.
        trials: The trials by the first objective, each with its values in the order of
            ``minimize``.
        knee: The trial at the knee; None if there is none.
    """

    minimize: tuple[str, ...]
    trials: list[tuple[Trial, list[float]]]
    knee: Trial | None


def front_of(trials: Sequence[Trial], minimize: Sequence[str]) -> Front | None:
    """The front of trials that are complete and keep all constraints.

    Args:
        trials: The trials.
        minimize: The objectives.

    Returns:
        None for a single objective, or without such a trial.
    """
    if len(minimize) < 2:
        return None
    found: list[tuple[Trial, list[float]]] = []
    for trial in trials:
        errors = {"score": trial.score, **trial.errors()}
        values = [value for name in minimize if (value := errors.get(name)) is not None]
        if len(values) == len(minimize):
            found.append((trial, values))
    if not found:
        return None
    points = np.array([values for _, values in found]).T
    front = pareto_indices(*points)
    at = knee(*points[:, front])
    kept = [found[i] for i in front]
    return Front(tuple(minimize), kept, None if at is None else kept[at][0])


def pareto_indices(*metrics: np.ndarray) -> list[int]:
    """Indices of the points that no other beats in all metrics, by growing first metric.

    Of points that are equal one is kept.

    Args:
        *metrics: Each metric of all points, shape [n]; points with one that is not finite are left
            out.
    """
    points = np.stack(metrics, axis=1)  # [n, n_metrics]
    order = [i for i in np.lexsort(metrics[::-1]) if np.isfinite(points[i]).all()]
    front: list[int] = []
    for i in order:  # what beats a point comes before it
        if not (points[front] <= points[i]).all(axis=1).any():
            front.append(int(i))
    return front


def knee(*metrics: np.ndarray) -> int | None:
    """Index of the knee of a front: where giving up a little of one metric stops gaining much.

    It is the point farthest below the plane through the ends (a line for two metrics), each metric
    scaled to run from 0 to 1: the one with the smallest sum.

    Args:
        *metrics: Each metric of the points on the front, shape [n].

    Returns:
        None if there are not more points than metrics, or none lies below that plane.
    """
    points = np.stack(metrics, axis=1)
    if len(points) <= points.shape[1]:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    sums = ((points - low) / np.where(high > low, high - low, 1.0)).sum(axis=1)
    ends = sums[points.argmin(axis=0)].mean()
    index = int(sums.argmin())
    return index if sums[index] < ends * (1 - 1e-9) else None
