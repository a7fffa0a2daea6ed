"""The printed answer: errors, balance, the weights to paste, and where everything lies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sweep.console import make_console, make_table, plain
from sweep.errors import DamagedRecordError
from sweep.numbers import count, percent, sentence
from sweep.records import Study, Trial
from sweep.records.feasibility import broken
from sweep.records.weights_file import loss_block
from sweep.report.advice.headline import gain, one_training, recipes
from sweep.report.comparison.by_type import errors_by_type
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.measures import Measure, Row, all_roles, answer_rows, seeds_of
from sweep.report.comparison.sources import study_source
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.confirmation_text import confirmation_gain, confirmation_sentences
from sweep.report.constraints import constraint_sentence
from sweep.report.names import SPLITS
from sweep.report.recommendation import Recommendation, recommend
from sweep.report.terminal.front import front_table

__all__ = ["print_confirmation", "print_study", "print_trial"]


def print_study(study: Study, confirmation: Confirmation | None = None) -> None:
    """Print the answer of a study.

    Args:
        study: The study.
        confirmation: Its trainings with other seeds.
    """
    console = make_console()
    counts = ", ".join(f"{n} {state.lower()}" for state, n in sorted(study.states.items()))
    trials = f"{len(study)} trial{'' if len(study) == 1 else 's'}{f' ({counts})' if counts else ''}"
    console.print(plain(f"\nstudy {study.name}: {trials}"))
    for reason in study.unreadable.values():
        console.print(plain(f"left out: {reason}"))
    if study.references:
        console.print(
            _errors(study.references, study.default, confirmation, limited_by=study.default)
        )
        if study.best is not None and (by_type := _by_type(study.best, study.default)):
            console.print(by_type)
        console.print(_balance(study.references))
        if study.front is not None:
            console.print(front_table(study, study.front))
        constraints = constraint_sentence(study)
        if constraints is not None:
            console.print(plain(f"\n{sentence(constraints)}."))
        comparison = compare(study_source(study))
        for advice in (*one_training(comparison), *gain(comparison), *recipes(comparison)):
            console.print(plain(f"\n{advice.text}", style="bold"))
    answer = recommend(study, confirmation)
    if answer is not None and answer.trial.stages:
        _print_block(console, answer)
    _print_files(console, study)


def _print_files(console: Console, study: Study) -> None:
    console.print(plain(f"everything lies in {study.folder}"))
    for name, what in (
        ("best_loss.yaml", "the weights above"),
        ("comparison.png", "these tables as a figure"),
        ("summary.json", "all numbers"),
        ("trials/", "per trial: config, breakdown, metrics, log, checkpoints"),
    ):
        if (study.folder / name).exists():
            console.print(plain(f"  {name:<16} {what}"))
    if study.references:
        command = f"loss-sweep compare {shlex.quote(str(study.folder))}"
        console.print(plain(f"all trials on one page: {command}"))


def print_trial(folder: Path) -> None:
    """Print the answer of one training."""
    console = make_console()
    try:
        trial = Trial.read(folder)
    except DamagedRecordError:
        console.print(plain(f"nothing was recorded in {folder}"))
        return
    if trial.errors("valid"):
        console.print(_errors({"this training": trial}, None))
        if by_type := _by_type(trial, None):
            console.print(by_type)
    if trial.balance is not None:
        console.print(_balance({"this training": trial}))
    console.print(plain(f"everything lies in {folder}"))


def _print_block(console: Console, answer: Recommendation) -> None:
    how, best = "", answer.trial
    if best.weighting != "fixed":
        how = f" (geometric means: they moved while it trained, weighting={best.weighting})"
    console.print(plain(f"\n{answer.name}, trial {best.number}{how}:"))
    if answer.caveat is not None:
        console.print(plain(answer.caveat))
    console.print()
    for line in loss_block(best.stages).splitlines():
        console.print(plain(f"    {line}"))
    console.print()


def _errors(
    trials: Mapping[str, Trial],
    baseline: Trial | None,
    confirmation: Confirmation | None = None,
    *,
    limited_by: Trial | None = None,
) -> Table:
    """Score and errors of some trials on both data sets, and their changes.

    Args:
        trials: The trials by what they are called.
        baseline: The trial that changes refer to.
        confirmation: Trainings with other seeds, whose means are shown where there are some.
        limited_by: The default weights; trials beyond a limit relative to them are marked.
    """
    statistic = next(iter(trials.values())).statistic.upper()
    title = statistic if baseline is None else f"{statistic}, with the change against the default"
    headings = ["quantity", "unit", "data"]
    names = all_roles(trials)
    for role, name in names.items():
        trial = trials[role]
        n_seeds = seeds_of(trial, confirmation)
        seeds = "" if not n_seeds else f"\nmean of {count(n_seeds, 'seed')}"
        is_beyond = limited_by is not None and broken(trial, limited_by)
        beyond = "\nbeyond a limit" if is_beyond else ""
        headings.append(f"{name}\ntrial {trial.number}{beyond}{seeds}")
    rows = answer_rows(trials, baseline, confirmation)
    return make_table(title, headings, _error_cells(rows, list(names)), align="lll")


def _error_cells(rows: list[Row], roles: list[str]) -> Iterator[list[str] | None]:
    for _, splits in groupby(rows, key=lambda row: row.metric.key):
        for i, row in enumerate(splits):
            metric = row.metric
            head = ["", ""] if i else [metric.title, metric.unit]
            cells = [row.measures[role] for role in roles]
            yield [*head, SPLITS[row.split], *map(_cell, cells)]
        yield None


def _by_type(trial: Trial, default: Trial | None) -> Table | None:
    """Errors for each ``config_type`` as mace prints them at the end; None if there is one type."""
    found = errors_by_type(trial, default)
    if found is None:
        return None
    return make_table(
        f"{trial.statistic.upper()} of trial {trial.number} by config_type, "
        f"{SPLITS[found.split]} set" + (" (against the default)" if found.has_changes else ""),
        ["config_type", "n", *(f"{m.title}\n{m.unit}" for m in found.metrics)],
        [
            [row.name, "" if row.n is None else str(row.n), *map(_cell, row.measures)]
            for row in found.rows
        ],
        align="lr",
    )


def _cell(measure: Measure | None) -> str:
    return "" if measure is None else str(measure)


def _balance(trials: Mapping[str, Trial]) -> Table:
    shown = {name: trials[role] for role, name in all_roles(trials).items()}
    balances = [trial.balance for trial in shown.values()]
    names = dict.fromkeys(n for b in balances if b is not None for n in b.shares)
    rows: list[list[str] | None] = [
        [
            name,
            *(
                f"{b.weights[name]:.4g}  {percent(b.shares[name]):>6}" if b and name in b.shares
                else "-"
                for b in balances
            ),
        ]
        for name in names
    ]  # fmt: skip
    rows += [
        None,
        ["effective terms",
         *(f"{b.effective_terms:.1f} of {len(b.shares)}" if b else "-" for b in balances)],
        ["dominant", *(b.dominant if b else "-" for b in balances)],
        # One name a line: side by side, those of four trials leave the words no room.
        ["starved (below 1 %)",
         *(("\n".join(b.starved) or "none") if b else "-" for b in balances)],
    ]  # fmt: skip
    headings = [f"{name}\ntrial {trial.number}" for name, trial in shown.items()]
    return make_table(
        "term balance in the last epoch: weight and share of the loss", ["term", *headings], rows
    )


def print_confirmation(confirmation: Confirmation) -> None:
    """Print means and spreads over the seeds, and what they mean."""
    console = make_console()
    trained = {_name(confirmation, c): c.complete[0] for c in confirmation.candidates if c.complete}
    default = confirmation.default
    baseline = default.complete[0] if default is not None and default.complete else None
    if trained:
        console.print(plain("\ntrained again with other seeds, mean ± standard deviation:"))
        console.print(_errors(trained, baseline, confirmation))
    told = confirmation_sentences(confirmation)
    # The first one is the headline of the study, printed before.
    for text in told[1:] if confirmation.is_of_best and confirmation_gain(confirmation) else told:
        console.print(plain(f"{sentence(text)}."))
    console.print(plain(f"  confirmation.json  all numbers, in {confirmation.folder}"))


def _name(confirmation: Confirmation, candidate: Candidate) -> str:
    role = (None if candidate.found is None else candidate.found.role) or ""
    if confirmation.others[:1] == [candidate]:
        best = confirmation.best_role if confirmation.is_of_best else "best"
        role = f"{role} and {best}" if role else best
    return role or f"candidate {candidate.number}"
