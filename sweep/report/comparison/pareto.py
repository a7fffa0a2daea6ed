"""Trade-offs between the validation metrics of a study's trials."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from sweep.records.front import knee, pareto_indices
from sweep.report.comparison.trial_table import metric_keys

__all__ = ["pareto_fronts", "strongest_trade_off"]


def pareto_fronts(table: pd.DataFrame) -> pd.DataFrame:
    """The fronts of all pairs of validation metrics, over the ranked trials.

    Args:
        table: Table of the trials.

    Returns:
        One row per pair and trial on its front, by growing ``x``: columns ``x_metric``,
        ``y_metric``, ``trial``, ``x``, ``y`` and ``knee``.
    """
    ranked = table[table["rank"].notna()]
    rows = []
    for first, second in combinations(_measured(ranked), 2):
        x = ranked[f"valid.{first}"].to_numpy(dtype=float)
        y = ranked[f"valid.{second}"].to_numpy(dtype=float)
        front = pareto_indices(x, y)
        at = knee(x[front], y[front]) if front else None
        rows += [
            {
                "x_metric": first, "y_metric": second, "trial": ranked.index[i],
                "x": x[i], "y": y[i], "knee": position == at,
            }
            for position, i in enumerate(front)
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=["x_metric", "y_metric", "trial", "x", "y", "knee"])


def strongest_trade_off(table: pd.DataFrame) -> tuple[str, str] | None:
    """The two metrics that get better at each other's cost most; None without two metrics.

    Among the better half of the ranked trials, because bad weights make everything bad.
    """
    ranked = table[table["rank"].notna()]
    names = [name for name in _measured(ranked) if name != "score"]
    if len(names) < 2:
        return None
    best = ranked.iloc[: max(3, (len(ranked) + 1) // 2)]
    correlations = best[[f"valid.{name}" for name in names]].rank().corr()

    def correlation(pair: tuple[str, str]) -> float:
        value = float(correlations.loc[f"valid.{pair[0]}", f"valid.{pair[1]}"])  # type: ignore[arg-type]
        return value if np.isfinite(value) else 1.0

    return min(combinations(names, 2), key=correlation)


def _measured(table: pd.DataFrame) -> list[str]:
    return [
        name
        for name in metric_keys(table)
        if f"valid.{name}" in table and table[f"valid.{name}"].notna().any()
    ]
