"""The printed answer of a confirmation."""

from __future__ import annotations

from sweep.console import make_console, plain
from sweep.numbers import sentence
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.terminal.answer import error_table

__all__ = ["print_confirmation"]


def print_confirmation(confirmation: Confirmation) -> None:
    """Print means and spreads over the seeds, and what they mean."""
    console = make_console()
    trained = {_name(confirmation, c): c.complete[0] for c in confirmation.candidates if c.complete}
    default = confirmation.default
    baseline = default.complete[0] if default is not None and default.complete else None
    if trained:
        console.print(plain("\ntrained again with other seeds, mean ± standard deviation:"))
        console.print(error_table(trained, baseline, confirmation))
    for text in confirmation.sentences:
        console.print(plain(sentence(text)))
    console.print(plain(f"  confirmation.json  all numbers, in {confirmation.folder}"))


def _name(confirmation: Confirmation, candidate: Candidate) -> str:
    role = (None if candidate.found is None else candidate.found.role) or ""
    if confirmation.others[:1] == [candidate]:
        role = f"{role} and best" if role else "best"
    return role or f"candidate {candidate.number}"
