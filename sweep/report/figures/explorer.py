"""What the page's two free scatter plots can draw: any weight against any metric, any two metrics.

The fronts and knees are computed here; the browser only looks them up.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.names import SPLITS, metric_of, weight_term

__all__ = ["LOG_RANGE", "explorer", "scatter_table"]

LOG_RANGE = 20  # positive values that span more than this factor are shown on a logarithmic axis


def explorer(c: Comparison) -> dict[str, Any] | None:
    """Columns, choices and fronts, as the page's script reads them; None without any metric.

    Texts are as they are: the script passes them on as text.
    """
    metrics = [key for key in metric_keys(c.trials) if f"valid.{key}" in c.trials]
    if not metrics:
        return None
    columns: dict[str, Any] = {}
    for key, name in c.parameters.items():
        kind = "weight of " if weight_term(key) is not None else ""
        columns[f"param.{key}"] = _column(c.trials[f"param.{key}"], f"{kind}{name}")
    for split, title in SPLITS.items():
        for key in metrics:
            if f"{split}.{key}" in c.trials:
                metric = metric_of(key, c.source.study)
                name = f"{metric.title}, {title}"
                columns[f"{split}.{key}"] = _column(
                    c.trials[f"{split}.{key}"], f"{name} ({metric.unit})" if metric.unit else name
                )
    for term in c.terms:
        shares = [
            balance.shares.get(term) if (balance := c.balance(str(label))) else None
            for label in c.trials.index
        ]
        values = pd.Series(shares, dtype=float)
        columns[f"share.{term}"] = _column(values, f"share of {term}", log=False)
    pair = c.trade_off
    labels = [str(label) for label in c.trials.index]
    return {
        "labels": labels,
        "names": [c.source.sentence_name(c.trial_of[label]) for label in labels],
        "ranked": c.trials["rank"].notna().tolist(),
        "roles": c.trials["role"].tolist(),
        "columns": columns,
        "weights": [name for name in columns if name.split(".")[0] in ("param", "share")],
        "metrics": [name for name in columns if name.split(".")[0] in SPLITS],
        "scatter": [_first_weight(c, columns), "valid.score"],
        "pareto": [f"valid.{key}" for key in pair] if pair else None,
        "fronts": _fronts(c, labels),
    }


def scatter_table(c: Comparison) -> pd.DataFrame:
    """The numbers behind both plots: one row per trial."""
    shares = c.shares.sort_values("stage").drop_duplicates(["trial", "term"], keep="last")
    wide = shares.pivot(index="trial", columns="term", values="share").add_prefix("share.")
    names = [
        column
        for column in map(str, c.trials.columns)
        if column.startswith(("param.", "valid.", "test.")) and not column.endswith(".change")
    ]
    return c.trials[["role", "state", *names]].join(wide)


def _fronts(c: Comparison, labels: list[str]) -> dict[str, Any]:
    fronts: dict[str, Any] = {}
    places = {label: i for i, label in enumerate(labels)}
    for (x, y), rows in c.fronts.groupby(["x_metric", "y_metric"], sort=False):
        at = [places[str(label)] for label in rows["trial"]]
        knees = [place for place, is_knee in zip(at, rows["knee"], strict=True) if is_knee]
        fronts[f"valid.{x}|valid.{y}"] = {"front": at, "knee": knees[0] if knees else None}
    return fronts


def _first_weight(c: Comparison, columns: dict[str, Any]) -> str:
    """The most important key for the score, else the first column."""
    rows = c.importances[c.importances["metric"] == "score"]
    if len(rows):
        return f"param.{rows.sort_values('importance')['parameter'].iloc[-1]}"
    return next(iter(columns))


def _column(values: pd.Series, title: str, *, log: bool | None = None) -> dict[str, Any]:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().sum() > values.isna().sum():  # words among them: an axis of categories
        texts = [None if pd.isna(value) else str(value) for value in values]
        return {"title": title, "log": False, "category": True, "values": texts}
    finite = numbers[numbers.notna()]
    if log is None:
        log = len(finite) > 0 and finite.min() > 0 and finite.max() > LOG_RANGE * finite.min()
    plain = [float(v) if v is not None and math.isfinite(v) else None for v in numbers]
    return {"title": title, "log": bool(log), "category": False, "values": plain}
