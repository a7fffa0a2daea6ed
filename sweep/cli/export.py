"""``loss-sweep export STUDY``: the winning weights as other programs read them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.cli.program import guarded, make_parser
from sweep.errors import InputError, unknown

__all__ = ["main"]

_FORMATS = {
    "mace_scf": "train_schedule of a MACE_SCF config.yaml",
    "mace_cli": "script that calls mace_run_train",
    "hydra": "experiment file of this program",
    "json": "for programs",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: _export(args))


def _export(args: argparse.Namespace) -> None:
    if args.out is not None and args.out.is_dir():
        raise InputError(f"--out {args.out}: is a folder; name a file")
    text = _text(args.study, args.format, args.trial)
    if args.out is None:
        sys.stdout.write(text)
        return
    from sweep.files import write_text

    write_text(args.out, text)
    if text.startswith("#!"):
        args.out.chmod(args.out.stat().st_mode | 0o111)
    print(args.out)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "export",
        "Write the weights of a study's best trial by validation score, or of any.",
        examples="formats:\n" + "".join(f"  {name:<10}{what}\n" for name, what in _FORMATS.items()),
    )
    add = parser.add_argument
    add("study", metavar="STUDY", type=Path, help="folder of a study, or of a trial")
    add("--trial", "--trials", type=int, metavar="N", help="trial N instead of the best one")
    add("--format", default="mace_scf", metavar="FORMAT", help="see below (default: mace_scf)")
    add("--out", type=Path, metavar="FILE", help="file to write to (default: print)")
    return parser


def _text(study: Path, name: str, number: int | None) -> str:
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
