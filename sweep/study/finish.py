"""The end of a sweep: the summary's files, the figure and the printed answer. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from sweep.report.summary import summarise, write_summary
from sweep.report.terminal import print_study
from sweep.study.storage import locked

__all__ = ["finish"]


def finish(folder: Path, name: str) -> None:
    """Write and print what the study in ``folder`` has found so far."""
    from sweep.report.figure import draw_comparison

    with locked(folder / "locks" / "report.lock"):  # two workers may end together
        study = summarise(folder, name)
        write_summary(study)
        draw_comparison(study)
    print_study(study)
