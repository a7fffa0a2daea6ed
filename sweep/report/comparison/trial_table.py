"""Trials as a table: one row each, best first, with errors, changes, weights and balance."""

from __future__ import annotations

import re

import pandas as pd

from sweep.quantities import QUANTITIES
from sweep.records import State, Trial
from sweep.report.comparison.sources import Source
from sweep.report.names import SPLITS, metric_of, weight_term

__all__ = ["metric_keys", "parameter_keys", "share_table", "trained_with", "trial_table"]


_SHARE = re.compile(r"weighting\.shares\.(?P<term>[^.]+)")
_RATE = re.compile(r"train_schedule\.(?P<stage>\d+)\.lr")


def metric_keys(table: pd.DataFrame) -> list[str]:
    """The metrics of a trial table, the score first."""
    # Ours in their own order, then those that only the program which trained them knows.
    own = [str(c).removeprefix("valid.") for c in table if re.fullmatch(r"valid\.\w+", str(c))]
    keys = dict.fromkeys(("score", *QUANTITIES, *own))
    return [key for key in keys if any(f"{s}.{key}" in table for s in SPLITS)]


def parameter_keys(table: pd.DataFrame) -> list[str]:
    """The searched keys of a trial table."""
    return [str(c).removeprefix("param.") for c in table.columns if str(c).startswith("param.")]


def trained_with(trial: Trial, key: str) -> float | str | None:
    """What a trial outside the search space has for a searched key, as its records tell it.

    Returns:
        The weight, share or learning rate that it was trained with, ``moves`` for a weight that
        followed the training; None for what such a trial does not have, or does not tell.
    """
    moves = trial.weighting != "fixed"
    if (weight := weight_term(key)) is not None:
        term, name = weight
        number = -1 if name is None else int(name) if name.isdecimal() else len(trial.stages)
        found = trial.stages[number].loss.get(term) if number < len(trial.stages) else None
        return None if found is None else "moves" if moves else float(found["weight"])
    if match := _SHARE.fullmatch(key):
        shares = (trial.details.get("weighting") or {}).get("shares") if moves else None
        return (shares or {}).get(match["term"])
    if match := _RATE.fullmatch(key):
        number = int(match["stage"])
        return trial.stages[number].lr if number < len(trial.stages) else None
    return None


def trial_table(source: Source) -> pd.DataFrame:
    """One row per trial, indexed by its label, best first and the unfinished last.

    Columns: ``number``, ``role`` (default, balanced, best or knee), ``state``, ``reason`` (why it
    failed or is not ranked), ``rank`` (from 1; of the trials that are complete and feasible),
    ``<split>.score`` and ``<split>.<quantity>`` in the unit that is shown, each with
    ``<split>.<name>.change``, relative to the baseline; ``param.<key>``; ``effective_terms``,
    ``n_terms``, ``dominant``, ``dominant_share``, ``starved``; ``note``, ``tags``; ``epochs``
    (trained so far),
    ``planned_epochs``, ``seconds``, ``folder``. A column that no trial has is left out.
    """
    frame = source.study.trials
    if frame.empty:
        return pd.DataFrame(columns=["label", "number", "role", "state", "rank"]).set_index("label")
    left_out = ("weight.", "share.", "config_type.", "element.", "size.")
    table = frame.drop(columns=[c for c in frame if str(c).startswith(left_out) or c == "score"])
    table = table.copy()  # in one piece: what is inserted below makes it many
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
