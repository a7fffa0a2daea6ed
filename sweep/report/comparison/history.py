"""What a few chosen trials did during training: shares, gradient norms, conflicts between terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.errors import DamagedRecordError, InputError, unknown
from sweep.records import Trial
from sweep.records.breakdown import evolution
from sweep.report.comparison.sources import Source

__all__ = [
    "choose_trials", "conflict_table", "early_gradients", "evolution_table", "gradient_table",
]  # fmt: skip

_N_BEST = 3
_SAME = 1e-6  # of cosines: two trainings never agree so well
_COSINES = ["trial", "epoch", "term", "other", "cosine"]


def choose_trials(source: Source, table: pd.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """Labels of the trials whose training is shown.

    Those that were asked for; else the default, the balanced and the three best trials, the worst
    complete one, and the running ones.

    Raises:
        InputError: if a trial that was asked for is not there.
    """
    labels = [str(label) for label in table.index]
    if wanted:
        for label in wanted:
            if label not in labels:
                raise InputError(unknown("trial", label, labels, where=f"--trials ({source.name})"))
        return list(dict.fromkeys(wanted))
    if not source.is_study:
        return labels
    references = source.study.references
    chosen = [source.label(references[role]) for role in ("default", "balanced")
              if role in references]  # fmt: skip
    ranked = list(table.index[table["rank"].notna()])
    chosen += [*ranked[:_N_BEST], *ranked[-1:], *table.index[table["state"] == "RUNNING"][:2]]
    return [str(label) for label in dict.fromkeys(chosen)]


def evolution_table(source: Source, labels: Sequence[str], *, max_bins: int = 300) -> pd.DataFrame:
    """Shares over the training of chosen trials.

    Returns:
        One row per trial, bin and term: columns ``trial``, ``epoch``, ``step``, ``stage``,
        ``term``, ``weighted``, ``share``, ``weight`` (the mean of those that acted). A trial whose
        table cannot be read has none.
    """
    parts = []
    for label, trial in _trials(source, labels):
        try:
            history = evolution(trial.folder / "breakdown.parquet", max_bins=max_bins)
        except DamagedRecordError:
            continue
        if history is None:
            continue
        shares = history.shares
        for term, weighted in history.weighted.items():
            parts.append(
                pd.DataFrame(
                    {
                        "trial": label, "epoch": history.epoch, "step": history.step,
                        "stage": history.stage, "term": term, "weighted": weighted,
                        "share": shares[term], "weight": history.weights[term],
                    }
                )
            )  # fmt: skip
    columns = ["trial", "epoch", "step", "stage", "term", "weighted", "share", "weight"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def gradient_table(source: Source, labels: Sequence[str]) -> pd.DataFrame:
    """Length of the terms' gradients in chosen trials, at every epoch where it was measured.

    Trials that measured them in a single epoch are left out: that is the first one, and tells of a
    model that has not learnt yet.

    Returns:
        Columns ``trial``, ``epoch``, ``stage``, ``term``, ``raw_norm``, ``weighted_norm`` and
        ``norm_share``, the weighted norm over the sum of all terms'.
    """
    columns = ["trial", "epoch", "stage", "term", "raw_norm", "weighted_norm"]
    parts = [
        data.assign(trial=label)[columns]
        for label, trial in _trials(source, labels)
        if (data := _gradients(trial)) is not None and data["epoch"].nunique() > 1
    ]
    if not parts:
        return pd.DataFrame(columns=[*columns, "norm_share"])
    table = pd.concat(parts, ignore_index=True)
    total = table.groupby(["trial", "epoch"])["weighted_norm"].transform("sum")
    return table.assign(norm_share=(table["weighted_norm"] / total).where(total > 0))


def early_gradients(source: Source, labels: Sequence[str]) -> list[str]:
    """Labels of those chosen trials whose gradients were measured in a single epoch."""
    return [
        label
        for label, trial in _trials(source, labels)
        if (data := _gradients(trial)) is not None and data["epoch"].nunique() == 1
    ]


def conflict_table(source: Source, labels: Sequence[str]) -> pd.DataFrame:
    """Cosines between the terms' gradients in chosen trials, as last measured.

    Left out are trials that measured them in a single epoch, and trials with the same matrix as
    another: they were measured on the same model, and tell nothing of the trials' weights.

    Returns:
        Columns ``trial``, ``epoch``, ``term``, ``other`` and ``cosine``; negative where two terms
        pull in opposite directions. Terms without a gradient are left out.
    """
    tables: list[pd.DataFrame] = []
    for label, trial in _trials(source, labels):
        data = _gradients(trial)
        if data is None or data["epoch"].nunique() == 1 or trial.same_as is not None:
            continue
        last = data[data["epoch"] == data["epoch"].max()]
        last = last[last["raw_norm"] > 0]
        rows = [
            (
                label,
                int(row["epoch"]),
                row["term"],
                other,
                float(row.get(f"cosine.{other}", np.nan)),
            )
            for _, row in last.iterrows()
            for other in last["term"]
        ]
        tables.append(pd.DataFrame(rows, columns=_COSINES))
    own = [table for i, table in enumerate(tables)
           if not any(_same(table, other) for j, other in enumerate(tables) if i != j)]  # fmt: skip
    return pd.concat(own, ignore_index=True) if own else pd.DataFrame(columns=_COSINES)


def _same(table: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two trials have the same cosines."""
    names = ["term", "other"]
    if len(table) < 2 or not table[names].equals(other[names]):
        return False
    return np.allclose(table["cosine"], other["cosine"], rtol=0, atol=_SAME, equal_nan=True)


def _trials(source: Source, labels: Sequence[str]) -> list[tuple[str, Trial]]:
    by_label = {source.label(trial): trial for trial in source.study}
    return [(label, by_label[label]) for label in labels]


def _gradients(trial: Trial) -> pd.DataFrame | None:
    """The table of a trial, None if there is none that can be read."""
    try:
        data: pd.DataFrame = pq.read_table(
            trial.folder / "balance.parquet", use_threads=False
        ).to_pandas()
        needed = {"epoch", "stage", "term", "raw_norm", "weighted_norm"}
        return data if len(data) and needed <= set(data.columns) else None
    except (pa.ArrowException, OSError, ValueError):
        return None
