"""The program ``loss-sweep`` and its sub-commands; ``python -m sweep`` is the same."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from sweep import __version__
from sweep.cli.program import PROGRAM, UsageError, guarded
from sweep.errors import unknown

__all__ = ["COMMANDS", "main", "python_m_sweep"]

COMMANDS = {
    "search": "search loss weights: Hydra's overrides, the study resumes when run again",
    "train": "train once with the configured weights: Hydra's overrides",
    "compare": "compare studies and trials: tables, advice and a page with all figures",
    "export": "the best weights for MACE_SCF, mace_run_train, Hydra and programs",
    "note": "notes and tags of trials",
    "plot": "what each term contributed at every batch of one run",
    "dashboard": "serve optuna-dashboard for a study, with notes and pictures of its trials",
    "generate": "make a shipped data set again",
}
"""Every sub-command, a module of this package with a ``main``, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """``loss-sweep COMMAND …``; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        return guarded(lambda: print(_overview()))
    if words[0] in COMMANDS or words[0] == "--version":
        return python_m_sweep(words)
    return guarded(lambda: _refuse(words))


def python_m_sweep(arguments: Sequence[str] | None = None) -> int:
    """``python -m sweep …``: as :func:`main`, and without a sub-command search (-m) or train."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        return guarded(lambda: print(f"{PROGRAM} {__version__}"))
    if words and words[0] in COMMANDS:
        module = importlib.import_module(f"sweep.cli.{words[0]}")
        status: int = module.main(words[1:])
        return status
    from sweep.cli.hydra_app import run

    return run(words)


def _overview() -> str:
    lines = [
        f"usage: {PROGRAM} COMMAND ...",
        "",
        "Search and compare the loss weights of charge-aware MACE potentials.",
        "",
        "commands:",
        *(f"  {name:<11}{what}" for name, what in COMMANDS.items()),
        "",
        f"{PROGRAM} COMMAND --help tells more; that of search and train lists all groups and keys.",
        f"{PROGRAM} search +experiment=X is python -m sweep +experiment=X -m, train without -m.",
        f"{PROGRAM} --version prints the version.",
    ]
    return "\n".join(lines)


def _refuse(words: Sequence[str]) -> None:
    """Say what is missing before the first word."""
    if "=" in words[0] or words[0].startswith("-"):
        kind = "search" if {"-m", "--multirun"} & set(words) else "train"
        raise UsageError(f"{words[0]}: a command comes first: {PROGRAM} {kind} {' '.join(words)}")
    raise UsageError(unknown("command", words[0], COMMANDS))
