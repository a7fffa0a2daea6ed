"""The end of a sweep: the summary's files, the figure and the printed answer. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from sweep.locks import locked
from sweep.records import Study
from sweep.report.confirmation import read_confirmation
from sweep.report.summary import write_confirmation, write_summary
from sweep.report.terminal.answer import print_confirmation, print_study

__all__ = ["finish"]


def finish(folder: Path, name: str) -> None:
    """Write and print what the study in ``folder`` has found so far."""
    from sweep.report.figures.overview import draw_comparison

    with locked(folder / "locks" / "report.lock"):  # two workers may end together
        study = Study.read(folder, name)
        confirmation = read_confirmation(study)
        write_summary(study, confirmation)
        draw_comparison(study, confirmation)
        if confirmation is not None:
            write_confirmation(confirmation)
    print_study(study, confirmation)
    if confirmation is not None:
        print_confirmation(confirmation)
