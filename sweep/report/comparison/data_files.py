"""The numbers behind every figure, as tables for CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.measures import seeds_of
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.figures.explorer import scatter_table
from sweep.report.names import SPLITS, metric_of

__all__ = ["csv_files", "data_tables", "file_prefix"]


_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula begins with


def file_prefix(index: int, n_studies: int) -> str:
    """What the names of a study's files begin with, so that those of several can lie together."""
    return "" if n_studies == 1 else f"{index + 1}_"


def data_tables(c: Comparison) -> dict[str, pd.DataFrame]:
    """Tables by the name of their figure; those without rows are left out."""
    tables = {
        "trials": _with_units(c, c.trials).rename_axis("trial").reset_index(),
        "change": _changes(c),
        "shares": c.shares,
        "learning": c.learning,
        "evolution": c.evolution,
        "gradients": c.gradients,
        "conflicts": c.conflicts,
        "importance": c.importances,
        "scatter": _with_units(c, scatter_table(c)).rename_axis("trial").reset_index(),
        "pareto": c.fronts,
        "what_if": c.what_if_shares,
    }
    return {name: table for name, table in tables.items() if len(table)}


def csv_files(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """The content of every CSV file, by its name."""
    return {
        f"{file_prefix(i, len(comparisons))}{name}.csv": _as_text(table).to_csv(index=False)
        for i, c in enumerate(comparisons)
        for name, table in data_tables(c).items()
    }


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table with texts that a spreadsheet would compute or run marked as texts."""
    return table.rename(columns=_no_formula).map(_no_formula)


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _changes(c: Comparison) -> pd.DataFrame:
    """Errors of the weights that matter, in the units shown, and their change."""
    rows = [
        {
            "role": role, "trial": c.source.label(trial), "metric": row.metric.key,
            "split": row.split, "value": measure.value, "unit": row.metric.unit,
            "change": measure.change, "deviation": measure.deviation,
            "seeds": seeds_of(trial, c.confirmation),
        }
        for role, trial in c.shown.items()
        for row in c.answer
        if (measure := row.measures[role]) is not None
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _with_units(c: Comparison, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the units of errors in its header."""
    names = {}
    for split in SPLITS:
        for key in metric_keys(table):
            unit = metric_of(key, c.source.study).unit
            if unit:
                names[f"{split}.{key}"] = f"{split}.{key} ({unit})"
    return table.rename(columns=names)
