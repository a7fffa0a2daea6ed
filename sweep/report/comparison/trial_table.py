"""Trials as a table: one row each, best first, with errors, changes, weights and balance."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.quantities import QUANTITIES
from sweep.records.summary import TrialSummary
from sweep.report.comparison.sources import Source
from sweep.report.names import SPLITS, metric_of

__all__ = ["metric_keys", "parameter_keys", "share_table", "trial_table"]

_ORDER = ("COMPLETE", "RUNNING", "PRUNED", "STOPPED", "FAILED")


def metric_keys(table: pd.DataFrame) -> list[str]:
    """The metrics of a trial table, the score first."""
    return [key for key in ("score", *QUANTITIES) if any(f"{s}.{key}" in table for s in SPLITS)]


def parameter_keys(table: pd.DataFrame) -> list[str]:
    """The searched keys of a trial table."""
    return [str(c).removeprefix("param.") for c in table.columns if str(c).startswith("param.")]


def trial_table(source: Source) -> pd.DataFrame:
    """One row per trial, indexed by its label, best first and the unfinished last.

    Columns: ``number``, ``role`` (default, balanced, best), ``state``, ``reason`` (why it failed or
    is not ranked), ``rank`` (from 1; of the complete trials that keep the study's constraints),
    ``<split>.score`` and ``<split>.<quantity>`` in the unit that is shown, each with
    ``<split>.<name>.change``, relative to the baseline; ``param.<key>``; ``effective_terms``,
    ``n_terms``, ``dominant``, ``dominant_share``, ``starved``; ``epochs`` (trained so far),
    ``planned_epochs``, ``seconds``, ``folder``. A column that no trial has is left out.
    """
    rows = [_row(source, trial) for trial in source.study.trials]
    table = pd.DataFrame(rows)
    if table.empty:
        return pd.DataFrame(columns=["label", "number", "role", "state", "rank"]).set_index("label")
    unranked = table["label"].isin(source.unranked)
    table = table.assign(order=table["state"].map(_ORDER.index) + 0.5 * unranked)
    by = [name for name in ("order", "valid.score", "number") if name in table]
    table = table.sort_values(by, kind="stable").set_index("label")
    ranked = table.pop("order") == 0
    table["rank"] = ranked.cumsum().where(ranked)
    complete = table["state"] == "COMPLETE"
    if source.baseline is not None:
        reference = table.loc[source.label(source.baseline)]
        for name in [c for c in table.columns if str(c).split(".")[0] in SPLITS]:
            if pd.notna(reference[name]) and reference[name]:
                # A trial that ended early has seen less training: no change that is due to weights.
                change = (table[name] / reference[name] - 1).where(complete)
                table.insert(list(table.columns).index(name) + 1, f"{name}.change", change)
    return table


def share_table(source: Source, order: list[str]) -> pd.DataFrame:
    """Balance in the last epoch of every stage: one row per trial, stage and term.

    Args:
        source: The trials.
        order: Their labels in the order of the rows.

    Returns:
        Columns ``trial``, ``stage``, ``stage_name``, ``epoch``, ``term``, ``weight``, ``raw``,
        ``share``, ``starved`` and ``dominating``.
    """
    by_label = {source.label(trial): trial for trial in source.study.trials}
    rows = [
        {
            "trial": label,
            "stage": stage,
            "stage_name": stage_name(by_label[label], stage),
            "epoch": balance.epoch,
            "term": term,
            "weight": balance.weights[term],
            "raw": balance.raw[term],
            "share": share,
            "starved": term in balance.starved,
            "dominating": balance.dominating and term == balance.dominant,
        }
        for label in order
        for stage, balance in by_label[label].balances.items()
        if balance is not None
        for term, share in balance.shares.items()
    ]
    columns = ["trial", "stage", "stage_name", "epoch", "term", "weight", "raw", "share",
               "starved", "dominating"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def stage_name(trial: TrialSummary, stage: int) -> str:
    """The name of a stage, its number if the trial does not tell."""
    stages = trial.content["stages"]
    name = stages[stage].get("name") if 0 <= stage < len(stages) else None
    return str(name) if name else f"stage {stage}"


def planned_epochs(trial: TrialSummary) -> int | None:
    """Number of epochs of a whole training, None if the trial does not tell."""
    ends = [stage.get("end") for stage in trial.content["stages"]]
    return ends[-1] + 1 if ends and type(ends[-1]) is int else None


def _row(source: Source, trial: TrialSummary) -> dict[str, Any]:
    role = str(trial.content.get("role") or "") if source.is_study else ""
    best = source.study.references.get("best")
    roles = [role] if role in ("default", "balanced") else []
    if best is not None and best.folder == trial.folder:
        roles.append("best")
    row: dict[str, Any] = {
        "label": source.label(trial),
        "number": trial.number,
        "role": ", ".join(roles),
        "state": trial.state,
        "reason": _reason(source, trial),
    }
    statistic = trial.content.get("objective", {}).get("statistic", "rmse")
    metrics, epochs = _metrics(trial)
    for split in SPLITS:
        for key in ("score", *QUANTITIES):
            value = metrics.get(split, {}).get(key if key == "score" else f"{statistic}_{key}")
            if value is not None and math.isfinite(value):
                row[f"{split}.{key}"] = value * metric_of(key).factor
    score = trial.content.get("score")
    if score is not None:
        row.setdefault("valid.score", float(score))
    row |= {f"param.{key}": value for key, value in trial.content["params"].items()}
    balance = trial.balance
    if balance is not None:
        row |= {
            "effective_terms": balance.effective_terms,
            "n_terms": len(balance.active),
            "dominant": balance.dominant,
            "dominant_share": balance.shares[balance.dominant],
            "starved": ", ".join(balance.starved),
        }
    row |= {
        "epochs": epochs,
        "planned_epochs": planned_epochs(trial),
        "seconds": trial.content.get("seconds"),
        "folder": str(trial.folder),
    }
    return row


def _reason(source: Source, trial: TrialSummary) -> str:
    """Why a trial failed, is not ranked or lacks its balance."""
    unranked = source.unranked.get(source.label(trial), "")
    return "; ".join(
        str(word) for word in (trial.content["reason"], unranked, trial.damage) if word
    )


def _metrics(trial: TrialSummary) -> tuple[dict[str, Any], int | None]:
    """Metrics by split and epochs trained; of a running trial those of its last evaluation."""
    metrics, epochs = trial.content["metrics"], trial.content.get("epochs_trained")
    if metrics and epochs is not None:
        return metrics, epochs
    last = last_evaluation(trial.folder)
    if last is None:
        return metrics, epochs
    return metrics or {"valid": last}, int(last["epoch"]) + 1


def last_evaluation(folder: Path) -> dict[str, Any] | None:
    """The last validation of a trial, None if there is none that can be read."""
    try:
        table = pq.read_table(folder / "metrics.parquet", use_threads=False)
        rows = [row for row in table.to_pylist() if row["split"] == "valid"]
        return rows[-1] if rows and type(rows[-1]["epoch"]) is int else None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
