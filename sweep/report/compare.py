"""What ``loss-sweep compare`` does: read, print, write; again and again when it watches."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live

from sweep.console import make_console, plain
from sweep.errors import InputError, unknown
from sweep.files import write_text
from sweep.quantities import exponents_of
from sweep.records import Study
from sweep.report.comparison.comparison import Comparison, compare
from sweep.report.comparison.data_files import csv_files
from sweep.report.comparison.sources import SINGLE, read_sources, usable
from sweep.report.comparison.what_if import parse_numbers
from sweep.report.page.page import render_page
from sweep.report.terminal.comparison import show_comparisons, show_standing

__all__ = ["Options", "run"]

_FORMATS = ("svg", "png", "pdf")
_FRAME = 14  # lines around the trials in a standing
_RECORDS = ("trial.json", "metrics.parquet", "breakdown.parquet")


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        folders: Folders of studies and trials.
        out: Folder of the page, None for the usual one.
        weights: Weights of a what-if, as text.
        metrics: Quantities to judge by instead of the study's own, as text, with exponents.
        limits: Largest errors allowed instead of the study's own, as text.
        trials: Labels of the trials whose training is shown.
        figures: Formats in which figures are written beside the page.
        rows: Number of trials listed in the terminal.
        watch: Seconds between two looks, None to look once.
    """

    folders: Sequence[Path]
    out: Path | None = None
    weights: str | None = None
    metrics: Sequence[str] = field(default_factory=list)
    limits: str | None = None
    trials: Sequence[str] = field(default_factory=list)
    figures: Sequence[str] = field(default_factory=list)
    rows: int = 15
    watch: int | None = None


def run(options: Options) -> None:
    """Compare, once or until Ctrl-C.

    Raises:
        InputError: on anything on the command line that is not valid, or a folder that cannot be
            written.
    """
    for name in options.figures:
        if name not in _FORMATS:
            raise InputError(unknown("format", name, _FORMATS, where="--figures"))
    for option, text in (("--weights", options.weights), ("--limit", options.limits)):
        if text:
            parse_numbers(option, text)
    console = make_console()
    folders, skipped = usable(options.folders)
    options = replace(options, folders=folders)
    for reason in skipped:
        console.print(plain(f"skipped: {reason}"), soft_wrap=True)
    if options.watch is None:
        comparisons = _read(options)
        console.print(show_comparisons(comparisons, n_rows=options.rows))
        _print_page(_write(comparisons, options, refresh=None))
    else:
        _watch(options, options.watch)


def _print_page(page: Path) -> None:
    make_console().print(plain(f"\nthe page with all figures: {page}"), soft_wrap=True)


def _watch(options: Options, seconds: int) -> None:
    """Show the standing and keep the page up to date; at Ctrl-C print everything."""
    console = make_console()
    seen = _state(options)
    comparisons = _read(options)
    page = _write(comparisons, options, refresh=seconds)
    n_rows = max(3, console.height // len(comparisons) - _FRAME) if console.is_terminal else 3
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                note = plain(f"\nwatching, Ctrl-C ends; the page: {page}")
                standing = Group(show_standing(comparisons, n_rows=n_rows), note)
                if console.is_terminal:
                    live.update(standing, refresh=True)
                else:
                    console.print(standing)
                state = _state(options)
                while state == seen:
                    time.sleep(seconds)
                    state = _state(options)
                seen = state
                comparisons = _read(options)
                _write(comparisons, options, refresh=seconds)
    except KeyboardInterrupt:
        console.print(show_comparisons(comparisons, n_rows=options.rows))
        # The page that stays does not load itself again.
        _print_page(_write(comparisons, options, refresh=None))


def _state(options: Options) -> dict[Path, int]:
    """When each record was last written."""
    folders = [folder for top in options.folders for folder in (top, *(top / "trials").glob("*"))]
    state = {}
    for path in (folder / name for folder in folders for name in _RECORDS):
        try:
            state[path] = path.stat().st_mtime_ns
        except OSError:
            continue
    return state


def _read(options: Options) -> list[Comparison]:
    weights = None if options.weights is None else parse_numbers("--weights", options.weights)
    sources = read_sources(options.folders, _judge(options))
    return [compare(source, wanted=options.trials, weights=weights) for source in sources]


def _judge(options: Options) -> Callable[[Study], Study]:
    """What makes of a study the one that shall be shown."""
    if not options.metrics and options.limits is None:
        return lambda study: study
    limits = None
    if options.limits is not None:
        limits = parse_numbers("--limit", options.limits) if options.limits else {}
    powers = _powers(options.metrics) or None
    return lambda study: study.judged(powers, limits)


def _powers(metrics: Sequence[str]) -> dict[str, float]:
    """Quantity -> exponent, of ``forces=2`` and ``energy``."""
    entries: list[Any] = []
    for text in dict.fromkeys(metrics):
        name, sign, value = text.partition("=")
        try:
            entries.append({name.strip(): float(value)} if sign else name)
        except ValueError as error:
            raise InputError(
                f"--metrics: the exponent of '{name}' must be a number; got '{value}'"
            ) from error
    return exponents_of(entries, where="--metrics")


def _write(comparisons: Sequence[Comparison], options: Options, *, refresh: int | None) -> Path:
    """Write page, data and figures; returns the page's path."""
    out = options.out or _usual_folder(comparisons, options)
    data = csv_files(comparisons)
    folders = {c.source.name: _as_given(c, options) for c in comparisons if c.source.name != SINGLE}
    try:
        for name, text in data.items():
            write_text(out / "data" / name, text)
        if options.figures:
            from sweep.report.figures.static import draw_figures

            draw_figures(comparisons, out / "figures", options.figures)
        write_text(
            out / "index.html", render_page(comparisons, data, folders=folders, refresh=refresh)
        )
    except OSError as error:
        raise InputError(
            f"{error.filename or out}: {error.strerror or error}; --out DIR writes elsewhere"
        ) from error
    return out / "index.html"


def _usual_folder(comparisons: Sequence[Comparison], options: Options) -> Path:
    if len(comparisons) == 1 and (comparisons[0].source.is_study or len(options.folders) == 1):
        judged = comparisons[0].source.study.judgement is not None
        return options.folders[0] / ("report_judged" if judged else "report")
    return Path("comparison")


def _as_given(c: Comparison, options: Options) -> str:
    """The folder of a study as it stands on the command line, ready for a shell."""
    for folder in options.folders:
        if folder.resolve() == c.source.study.folder:
            return shlex.quote(str(folder))
    return shlex.quote(str(c.source.study.folder))
