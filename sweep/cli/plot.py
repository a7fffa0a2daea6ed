"""``loss-sweep plot``: the weighted terms of one run, batch by batch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.cli.program import guarded, make_parser
from sweep.errors import InputError, unknown

__all__ = ["main"]

_FORMATS = ("png", "pdf", "svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: print(_plot(args)))


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "plot",
        "Draw what each loss term contributed at every training batch of one run. Validation "
        "batches, which MACE_SCF logs alike, are left out.",
    )
    add = parser.add_argument
    add(
        "run",
        metavar="LOG_OR_TRIAL",
        type=Path,
        help="a debug log (logs/<name>_debug.log of MACE_SCF or of a trial), a trial's folder, or "
        "a study's with --trial",
    )
    add("--trial", "--trials", type=int, metavar="N", help="trial N of a study")
    add("--min-epoch", "--min_epoch", type=int, metavar="N", help="first epoch to draw")
    add("--max-epoch", "--max_epoch", type=int, metavar="N", help="last epoch to draw")
    add(
        "--out",
        "--name",
        type=Path,
        metavar="FILE",
        help="picture to write, .png, .pdf or .svg (default: <name of the run>.png here)",
    )
    return parser


def _plot(args: argparse.Namespace) -> Path:
    from sweep.batch_losses.figure import draw
    from sweep.batch_losses.log import from_log, run_name
    from sweep.batch_losses.run import Range, from_trial

    out: Path | None = args.out
    first, last = args.min_epoch, args.max_epoch
    if first is not None and last is not None and first > last:
        raise InputError(f"--min-epoch {first} is above --max-epoch {last}")
    if out is not None and out.suffix.lstrip(".").lower() not in _FORMATS:
        raise InputError(unknown("format", out.suffix.lstrip("."), _FORMATS, where=str(out)))
    if out is not None and out.is_dir():
        raise InputError(f"--out {out}: is a folder; name a file")
    path, wanted = _path(args.run, args.trial), Range(first, last)
    if path.is_dir():
        run = from_trial(path, wanted)
        out = out or Path(f"{run.title.replace(', ', '_').replace(' ', '_')}.png")
    else:
        run = from_log(path, wanted)
        out = out or Path(f"{run_name(path)}.png")
    for note in run.notes:
        print(note, file=sys.stderr)
    draw(run, out)
    return out


def _path(given: Path, number: int | None) -> Path:
    """The log or the trial's folder."""
    if number is not None:
        from sweep.records import load_study

        return load_study(given)[number].folder
    if not given.is_dir() or any(
        (given / name).exists() for name in ("trial.json", "breakdown.parquet")
    ):
        return given
    trials = sorted(path for path in given.glob("trials/*") if path.is_dir())
    if trials:
        raise InputError(f"{given}: is a study; name one of its trials, such as {trials[0]}")
    raise InputError(f"{given}: is neither a trial's folder nor a log")
