"""How the errors of the weights that matter fell during their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import DamagedRecordError
from sweep.records import Trial
from sweep.records.judging import score_of
from sweep.records.tables import BREAKDOWN
from sweep.report.names import metric_of

__all__ = ["TRAIN_LOSS", "learning_table"]

TRAIN_LOSS = "loss"
_COLUMNS = ["role", "trial", "metric", "split", "epoch", "value", "unit"]


def learning_table(shown: Mapping[str, Trial]) -> pd.DataFrame:
    """Score and errors on the validation set, and the loss on the training set, by epoch.

    Args:
        shown: The trials by what they are called.

    Returns:
        Columns ``role``, ``trial``, ``metric`` (``loss``, ``score`` or a quantity), ``split``
        (``train`` for the loss, else ``valid``), ``epoch``, ``value`` in ``unit``. The loss is the
        mean over the steps of an epoch, under the trial's own weights. A trial whose tables cannot
        be read has no rows.
    """
    parts = []
    for role, trial in shown.items():
        parts += [part.assign(role=role, trial=trial.number) for part in _of_trial(trial)]
    if not parts:
        return pd.DataFrame(columns=_COLUMNS)
    return pd.concat(parts, ignore_index=True)[_COLUMNS]


def _of_trial(trial: Trial) -> list[pd.DataFrame]:
    parts = []
    loss = _train_loss(trial)
    if loss is not None:
        parts.append(_part(loss["epoch"], loss["total"], TRAIN_LOSS, "train", ""))
    try:
        table = trial.metrics()
    except DamagedRecordError:
        return parts
    if not {"split", "epoch"} <= set(table.columns):
        return parts
    table = table[table["split"] == "valid"].sort_values("epoch")
    scores = pd.to_numeric(table["score"], errors="coerce") if "score" in table else None
    if trial.is_judged_anew:  # the table holds those of another objective
        scores = _scores(trial, table)
    if scores is not None:
        parts.append(_part(table["epoch"], scores, "score", "valid", metric_of("score").unit))
    for key in trial.quantities:
        name = f"{trial.statistic}_{key}"
        if name in table:
            metric = metric_of(key, [trial])
            values = pd.to_numeric(table[name], errors="coerce") * metric.factor
            parts.append(_part(table["epoch"], values, key, "valid", metric.unit))
    return [part for part in parts if len(part)]


def _scores(trial: Trial, table: pd.DataFrame) -> pd.Series | None:
    """The score of every evaluation by the objective that the trial is judged by."""
    if trial.objective is None:
        return None
    powers = trial.objective.powers
    columns = {name: f"{trial.statistic}_{name}" for name in powers}
    if not set(columns.values()) <= set(table.columns):
        return None
    errors = pd.DataFrame(
        {name: pd.to_numeric(table[column], errors="coerce") for name, column in columns.items()}
    )
    found = [
        score_of({str(name): value for name, value in row.items()}, trial.scales, powers)
        for row in errors.to_dict("records")
    ]
    return pd.Series(found, index=table.index, dtype=float)


def _part(epochs: Any, values: pd.Series, metric: str, split: str, unit: str) -> pd.DataFrame:
    part = pd.DataFrame({"epoch": epochs, "value": values.astype(float)}).dropna()
    return part.assign(metric=metric, split=split, unit=unit)


def _train_loss(trial: Trial) -> pd.DataFrame | None:
    try:
        table: pd.DataFrame = pq.read_table(
            trial.folder / BREAKDOWN, columns=["epoch", "total"], use_threads=False
        ).to_pandas()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return table.groupby("epoch")[["total"]].mean().reset_index()
