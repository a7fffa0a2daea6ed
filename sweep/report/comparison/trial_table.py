"""Trials as a table: one row each, best first, with errors, changes, weights and balance."""

from __future__ import annotations

import pandas as pd

from sweep.quantities import QUANTITIES
from sweep.records import State
from sweep.report.comparison.sources import Source
from sweep.report.names import SPLITS, metric_of

__all__ = ["metric_keys", "parameter_keys", "share_table", "trial_table"]


def metric_keys(table: pd.DataFrame) -> list[str]:
    """The metrics of a trial table, the score first."""
    return [key for key in ("score", *QUANTITIES) if any(f"{s}.{key}" in table for s in SPLITS)]


def parameter_keys(table: pd.DataFrame) -> list[str]:
    """The searched keys of a trial table."""
    return [str(c).removeprefix("param.") for c in table.columns if str(c).startswith("param.")]


def trial_table(source: Source) -> pd.DataFrame:
    """One row per trial, indexed by its label, best first and the unfinished last.

    Columns: ``number``, ``role`` (default, balanced, best or knee), ``state``, ``reason`` (why it
    failed or is not ranked), ``rank`` (from 1; of the trials that are complete and feasible),
    ``<split>.score`` and ``<split>.<quantity>`` in the unit that is shown, each with
    ``<split>.<name>.change``, relative to the baseline; ``param.<key>``; ``effective_terms``,
    ``n_terms``, ``dominant``, ``dominant_share``, ``starved``; ``epochs`` (trained so far),
    ``planned_epochs``, ``seconds``, ``folder``. A column that no trial has is left out.
    """
    frame = source.study.trials
    if frame.empty:
        return pd.DataFrame(columns=["label", "number", "role", "state", "rank"]).set_index("label")
    table = frame.drop(columns=[c for c in frame if str(c).startswith(("weight.", "share."))
                                or c == "score"])  # fmt: skip
    table.attrs = {}  # the units there are those of the records
    table = table.assign(label=[source.label(trial) for trial in source.study])
    for name in (c for c in map(str, table.columns) if c.split(".")[0] in SPLITS):
        table[name] = table[name].astype(float) * metric_of(name.partition(".")[2]).factor
    unranked = table["label"].isin(source.unranked)
    order = table["state"].map(list(State).index) + 0.5 * unranked
    table = table.assign(order=order).reset_index()
    by = [name for name in ("order", "rank", "valid.score", "number") if name in table]
    table = table.sort_values(by, kind="stable").set_index("label").drop(columns="order")
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
    by_label = {source.label(trial): trial for trial in source.study}
    rows = [
        {
            "trial": label,
            "stage": stage,
            "stage_name": by_label[label].stage_name(stage),
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
