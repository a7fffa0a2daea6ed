"""The printed answer of a confirmation."""

from __future__ import annotations

from rich.table import Table

from sweep.console import make_console
from sweep.numbers import change, sentence
from sweep.quantities import QUANTITIES
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.names import SPLITS, metric_of

__all__ = ["print_confirmation"]


def print_confirmation(confirmation: Confirmation) -> None:
    """Print means and spreads over the seeds, and what they mean."""
    console = make_console()
    if any(candidate.complete for candidate in confirmation.candidates):
        console.print(_table(confirmation))
    for text in confirmation.sentences:
        console.print(sentence(text), highlight=False, markup=False)
    console.print(f"  confirmation.json  all numbers, in {confirmation.folder}", highlight=False)


def _table(confirmation: Confirmation) -> Table:
    statistic = next(trial.statistic for of in confirmation.candidates for trial in of.complete)
    table = Table(
        title=f"trained again with other seeds: {statistic.upper()}, mean ± standard deviation"
    )
    for column in ("quantity", "unit", "data"):
        table.add_column(column)
    for candidate in confirmation.candidates:
        table.add_column(f"{_name(confirmation, candidate)}\ntrial {candidate.number}",
                         justify="right")  # fmt: skip
    for key in (*QUANTITIES, "score"):
        metric = metric_of(key)
        column = key if key == "score" else f"{statistic}_{key}"
        first = True
        for split, title in SPLITS.items():
            cells = [_cell(confirmation, c, split, column, metric.factor)
                     for c in confirmation.candidates]  # fmt: skip
            if any(cells):
                table.add_row(
                    metric.title if first else "", metric.unit if first else "", title, *cells
                )
                first = False
        if not first:
            table.add_section()
    return table


def _name(confirmation: Confirmation, candidate: Candidate) -> str:
    role = (None if candidate.found is None else candidate.found.role) or ""
    is_best = confirmation.others[:1] == [candidate]
    return " and ".join([role] * bool(role) + ["best"] * is_best)


def _cell(
    confirmation: Confirmation, candidate: Candidate, split: str, key: str, factor: float
) -> str:
    own = candidate.spread(split, key)
    if own is None:
        return ""
    default = confirmation.default
    base = None if default is None else default.spread(split, key)
    if candidate.number == 0 or base is None or not base.mean:
        return own.text(factor)
    return f"{own.text(factor)} ({change(own.mean / base.mean - 1)})"
