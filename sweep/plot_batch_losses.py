"""``python -m sweep.plot_batch_losses``: the weighted terms of one run, batch by batch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import InputError, SweepError, unknown

__all__ = ["main"]

_FORMATS = ("png", "pdf", "svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    try:
        path = _plot(args.run, args.name, args.min_epoch, args.max_epoch)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or args.run}: {error.strerror}", file=sys.stderr)
        return 1
    print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweep.plot_batch_losses",
        description=(
            "Draw what each loss term contributed at every training batch of one run. Validation "
            "batches, which MACE_SCF logs alike, are left out."
        ),
    )
    parser.add_argument(
        "run",
        metavar="LOG_OR_TRIAL",
        type=Path,
        help="a debug log (logs/<name>_debug.log of MACE_SCF or of a trial), or a trial's folder",
    )
    parser.add_argument("--min_epoch", type=int, help="first epoch to draw")
    parser.add_argument("--max_epoch", type=int, help="last epoch to draw")
    parser.add_argument(
        "--name",
        type=Path,
        metavar="OUT.png",
        help="the picture, .png, .pdf or .svg; default: <name of the run>.png here",
    )
    return parser


def _plot(path: Path, name: Path | None, first: int | None, last: int | None) -> Path:
    from sweep.batch_losses.figure import draw
    from sweep.batch_losses.log import from_log, run_name
    from sweep.batch_losses.run import Range, from_trial

    if first is not None and last is not None and first > last:
        raise InputError(f"--min_epoch {first} is above --max_epoch {last}")
    if name is not None and name.suffix.lstrip(".").lower() not in _FORMATS:
        raise InputError(unknown("format", name.suffix.lstrip("."), _FORMATS, where=str(name)))
    if name is not None and name.is_dir():
        raise InputError(f"--name {name}: is a folder; name a file")
    wanted = Range(first, last)
    if path.is_dir():
        _check_trial(path)
        run = from_trial(path, wanted)
        name = name or Path(f"{run.title.replace(', ', '_').replace(' ', '_')}.png")
    else:
        run = from_log(path, wanted)
        name = name or Path(f"{run_name(path)}.png")
    for note in run.notes:
        print(note, file=sys.stderr)
    draw(run, name)
    return name


def _check_trial(folder: Path) -> None:
    if (folder / "trial.json").exists() or (folder / "breakdown.parquet").exists():
        return
    trials = sorted(path for path in folder.glob("trials/*") if path.is_dir())
    if trials:
        raise InputError(f"{folder}: is a study; name one of its trials, such as {trials[0]}")
    raise InputError(f"{folder}: is neither a trial's folder nor a log")


if __name__ == "__main__":
    sys.exit(main())
