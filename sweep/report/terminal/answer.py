"""The printed answer: errors, balance, the weights to paste, and where everything lies."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweep.console import make_console
from sweep.errors import DamagedRecordError
from sweep.quantities import QUANTITIES
from sweep.records import Study, Trial
from sweep.records.weights_file import loss_block
from sweep.report.terminal.objectives import print_objectives

__all__ = ["print_study", "print_trial"]

_SPLITS = {"valid": "validation", "test": "test"}


def print_study(study: Study) -> None:
    """Print the answer of a study."""
    console = make_console()
    counts = ", ".join(f"{n} {state.lower()}" for state, n in sorted(study.states.items()))
    console.print(f"\nstudy {study.name}: {len(study)} trials ({counts})", highlight=False)
    for reason in study.unreadable.values():
        console.print(f"left out: {reason}", highlight=False, markup=False)
    if study.references:
        console.print(_errors(study.references))
        console.print(_balance(study.references))
        print_objectives(console, study)
    if study.best is not None and study.best.stages:
        _print_block(console, study.best)
    console.print(f"everything lies in {study.folder}", highlight=False)
    for name, what in (
        ("best_loss.yaml", "the weights above"),
        ("comparison.png", "these tables as a figure"),
        ("summary.json", "all numbers"),
        ("trials/", "per trial: config, breakdown, metrics, log, checkpoints"),
    ):
        if (study.folder / name).exists():
            console.print(f"  {name:<16} {what}", highlight=False)
    if study.references:
        command = f"python -m sweep.compare {shlex.quote(str(study.folder))}"
        console.print(f"all trials on one page: {command}", highlight=False, markup=False)


def print_trial(folder: Path) -> None:
    """Print the answer of one training."""
    console = make_console()
    try:
        trial = Trial.read(folder)
    except DamagedRecordError:
        console.print(f"nothing was recorded in {folder}", highlight=False)
        return
    if trial.errors("valid"):
        console.print(_errors({"this training": trial}))
    if trial.balance is not None:
        console.print(_balance({"this training": trial}))
    console.print(f"everything lies in {folder}", highlight=False)


def _print_block(console: Console, best: Trial) -> None:
    console.print(f"\nbest weights, trial {best.number}:\n", highlight=False)
    for line in loss_block(best.stages).splitlines():
        console.print(f"    {line}", highlight=False, markup=False)
    console.print()


def _header(role: str, trial: Trial) -> str:
    return f"{role}\ntrial {trial.number}"


def _errors(trials: dict[str, Trial]) -> Table:
    statistic = next(iter(trials.values())).statistic.upper()
    table = Table(title=f"{statistic}, with the change against the first column")
    for column in ("quantity", "unit", "data"):
        table.add_column(column)
    for role, trial in trials.items():
        table.add_column(_header(role, trial), justify="right")
    names = list(dict.fromkeys(n for trial in trials.values() for n in trial.errors("valid")))
    for name in names:
        quantity = QUANTITIES[name]
        for split, title in _SPLITS.items():
            values = [trial.errors(split).get(name) for trial in trials.values()]
            if any(value is not None for value in values):
                first = split == "valid"
                table.add_row(
                    quantity.title if first else "",
                    quantity.display_unit if first else "",
                    title,
                    *_cells(values, quantity.display_factor, ".1f"),
                )
        table.add_section()
    for split, title in _SPLITS.items():
        values = [trial.score_on(split) for trial in trials.values()]
        if any(value is not None for value in values):
            table.add_row("score" if split == "valid" else "", "", title, *_cells(values, 1, ".4f"))
    return table


def _cells(values: list[float | None], factor: float, form: str) -> list[str]:
    """Numbers with their relative change against the first."""
    cells = []
    reference = values[0]
    for i, value in enumerate(values):
        if value is None:
            cells.append("-")
        elif i == 0 or not reference:
            cells.append(format(value * factor, form))
        else:
            cells.append(f"{value * factor:{form}} ({value / reference - 1:+.0%})")
    return cells


def _balance(trials: dict[str, Trial]) -> Table:
    table = Table(title="term balance in the last epoch: weight and share of the loss")
    table.add_column("term")
    for role, trial in trials.items():
        table.add_column(_header(role, trial), justify="right")
    balances = [trial.balance for trial in trials.values()]
    names = list(dict.fromkeys(n for b in balances if b is not None for n in b.shares))
    for name in names:
        table.add_row(
            name,
            *(
                f"{b.weights[name]:.4g}  {b.shares[name]:6.1%}" if b and name in b.shares else "-"
                for b in balances
            ),
        )
    table.add_section()
    table.add_row(
        "effective number of terms",
        *(f"{b.effective_terms:.1f} of {len(b.shares)}" if b else "-" for b in balances),
    )
    table.add_row("dominant", *(b.dominant if b else "-" for b in balances))
    table.add_row(
        "starved (below 1 %)", *((", ".join(b.starved) or "none") if b else "-" for b in balances)
    )
    return table
