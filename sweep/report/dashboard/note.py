"""A trial in Markdown: what it is, how it did, and which terms did the work. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from sweep.numbers import number, percent, with_change
from sweep.records import Trial
from sweep.report.names import metric_of

__all__ = ["trial_note"]


def trial_note(trial: Trial, default: Trial | None, picture: str | None = None) -> str:
    """The note of a trial.

    Args:
        trial: The trial.
        default: The default weights, for the changes; None if they are not trained yet.
        picture: Path of a picture of its breakdown; None for none.
    """
    role = trial.role
    lines = [f"## trial {trial.number}: {f'{role} weights, ' if role else ''}{trial.state.lower()}"]
    if trial.reason:
        lines.append(f"**Reason:** {_cell(trial.reason)}")
    if trial.same_as is not None:
        lines.append(f"The weights of trial {trial.same_as}, and its result.")
    if default is not None and default.number == trial.number:
        default = None
    lines += _errors(trial, default)
    lines += _balance(trial)
    if picture is not None:
        lines.append(f"![weighted terms at every training batch]({picture})")
    return "\n\n".join(lines) + "\n"


def _errors(trial: Trial, default: Trial | None) -> list[str]:
    splits = {split: trial.errors(split) for split in ("valid", "test")}
    if not any(splits.values()):
        return []
    statistic = trial.statistic.upper()
    rows = []
    for key in ("score", *splits["valid"]):
        cells = []
        for split in splits:
            value = trial.score_on(split) if key == "score" else splits[split].get(key)
            base = None
            if default is not None:
                base = default.score_on(split) if key == "score" else default.errors(split).get(key)
            text = "" if value is None else number(value * metric_of(key).factor)
            cells.append(
                with_change(text, value / base - 1) if value is not None and base else text
            )
        rows.append((metric_of(key, [trial]).with_unit, *cells))
    changes = ", and the change against the default weights" if default is not None else ""
    epoch = trial.epoch
    return [
        f"{statistic} of epoch {epoch}{changes}:",
        _table((statistic, "validation", "test"), rows),
    ]


def _balance(trial: Trial) -> list[str]:
    balance = trial.balance
    if balance is None:
        return []
    rows = [
        (name, f"{balance.weights[name]:.6g}", percent(balance.shares[name]))
        for name in balance.shares
    ]
    return [
        "Weights, and shares of the loss in the last epoch:",
        _table(("term", "weight", "share"), rows),
        f"Effective number of terms: {balance.effective_terms:.1f} of {len(balance.shares)}.",
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    """Text that ends neither a cell nor a line, and is no HTML."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|")
