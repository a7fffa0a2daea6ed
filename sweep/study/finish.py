"""The end of a sweep: the summary's files, the figure and the printed answer. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from sweep.locks import locked
from sweep.report.confirmation import read_confirmation, write_confirmation
from sweep.report.confirmation_table import print_confirmation
from sweep.report.summary import summarise, write_summary
from sweep.report.terminal import print_study

__all__ = ["finish"]


def finish(folder: Path, name: str) -> None:
    """Write and print what the study in ``folder`` has found so far."""
    from sweep.report.figure import draw_comparison

    with locked(folder / "locks" / "report.lock"):  # two workers may end together
        study = summarise(folder, name)
        write_summary(study)
        draw_comparison(study)
        confirmation = read_confirmation(folder)
        if confirmation is not None:
            write_confirmation(confirmation)
    print_study(study)
    if confirmation is not None:
        print_confirmation(confirmation)
