"""``python -m sweep.export``: the winning weights as other programs read them."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.errors import InputError, SweepError, unknown

__all__ = ["main"]

_FORMATS = {
    "mace_scf": "train_schedule of a MACE_SCF config.yaml",
    "mace_cli": "flags of mace_run_train",
    "hydra": "experiment file of this program",
    "json": "for programs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or pipe whose encoding lacks a sign
        sys.stdout.reconfigure(errors="replace")
    try:
        if args.out is not None and args.out.is_dir():
            raise InputError(f"--out {args.out}: is a folder; name a file")
        text = _export(args.study, args.format, args.trial)
        if args.out is None:
            sys.stdout.write(text)
        else:
            from sweep.files import write_text

            write_text(args.out, text)
            print(args.out)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or args.study}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweep.export",
        description="Write the weights of a study's best trial by validation score, or of any.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="formats:\n" + "".join(f"  {name:<10}{what}\n" for name, what in _FORMATS.items()),
    )
    parser.add_argument(
        "study", metavar="STUDY", type=Path, help="folder of a study, or of a trial"
    )
    parser.add_argument("--format", default="mace_scf", help="see below; default: mace_scf")
    parser.add_argument("--trial", type=int, metavar="N", help="trial N instead of the best one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a file instead of printing")
    return parser


def _export(study: Path, name: str, number: int | None) -> str:
    from sweep.export.hydra import as_json, hydra
    from sweep.export.mace_cli import mace_cli
    from sweep.export.mace_scf import mace_scf
    from sweep.export.winner import Winner, select

    writers: dict[str, Callable[[Winner], str]] = {
        "mace_scf": mace_scf,
        "mace_cli": mace_cli,
        "hydra": hydra,
        "json": as_json,
    }
    if name not in writers:
        raise InputError(unknown("format", name, writers, where="--format"))
    return writers[name](select(study, number))


if __name__ == "__main__":
    sys.exit(main())
