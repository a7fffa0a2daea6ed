"""``loss-sweep export STUDY``: the winning weights as other programs read them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.cli.program import guarded, make_parser
from sweep.errors import InputError, unknown

__all__ = ["main"]

_MODEL = "mace_model"
_WITH_STAGES = ("mace_scf", "hydra", "json")
_ALIASES = {"mace_run_train": "mace_cli"}
_LEFT_OUT = "# stage "  # how comments begin that say what of a stage is not in the file
_FORMATS = {
    "mace_scf": "train_schedule of a MACE_SCF config.yaml",
    "mace_cli": "script that calls mace_run_train, which is this format's other name",
    "command": "the command line of a trial of trainer=command, or any other program",
    "hydra": "experiment file of this program",
    "json": "for programs",
    _MODEL: "the trained model of the family mace as a .model file, for MACECalculator",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: _export(args))


def _export(args: argparse.Namespace) -> None:
    args.format = _ALIASES.get(args.format, args.format)
    if args.out is not None and args.out.is_dir():
        raise InputError(f"--out {args.out}: is a folder; name a file")
    if args.stages is not None and args.format in _FORMATS and args.format not in _WITH_STAGES:
        raise InputError(
            f"--stages {args.stages}: --format {args.format} has no schedule of stages; formats "
            f"that have one: {', '.join(_WITH_STAGES)}"
        )
    if args.format == _MODEL:
        _export_model(args)
        return
    text = _text(args.study, args.format, args.trial, args.stages)
    for line in text.splitlines():
        if line.startswith(_LEFT_OUT):  # a comment that is easily overlooked
            print(f"note: {line.removeprefix('# ')}", file=sys.stderr)
    if args.out is None:
        sys.stdout.write(text)
        return
    from sweep.files import write_text

    write_text(args.out, text)
    if text.startswith("#!"):
        args.out.chmod(args.out.stat().st_mode | 0o111)
    print(args.out)


def _export_model(args: argparse.Namespace) -> None:
    if args.out is None:
        raise InputError(f"--format {_MODEL}: --out FILE says where to, such as --out best.model")
    from sweep.export.mace_model import mace_model
    from sweep.export.winner import select
    from sweep.files import replacing

    content = mace_model(select(args.study, args.trial))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.out) as temporary:
        temporary.write_bytes(content)
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
    add("--stages", type=int, metavar="N", help="weights that moved, as those of N stages in a row")
    add("--format", default="mace_scf", metavar="FORMAT", help="see below (default: mace_scf)")
    add("--out", type=Path, metavar="FILE", help="file to write to (default: print)")
    return parser


def _text(study: Path, name: str, number: int | None, n_stages: int | None) -> str:
    from sweep.export.command import command
    from sweep.export.hydra import as_json, hydra
    from sweep.export.mace_cli import mace_cli
    from sweep.export.mace_scf import mace_scf
    from sweep.export.staged import staged
    from sweep.export.winner import Winner, select

    writers: dict[str, Callable[[Winner], str]] = {
        "mace_scf": mace_scf,
        "mace_cli": mace_cli,
        "command": command,
        "hydra": hydra,
        "json": as_json,
    }
    if name not in writers:
        raise InputError(unknown("format", name, _FORMATS, where="--format"))
    winner = select(study, number)
    return writers[name](winner if n_stages is None else staged(winner, n_stages))
