"""``loss-sweep generate NAME``: make a shipped data set again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sweep.cli.program import guarded, make_parser

__all__ = ["main"]

# As in sweep.datagen.recipes, which waits for ASE.
_NAMES = ("organics", "water_boxes", "water_clusters")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: _generate(args))


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "generate", "Make a shipped data set again, labels included (needs tblite)."
    )
    add = parser.add_argument
    add("name", metavar="NAME", choices=_NAMES, help=" or ".join(_NAMES))
    add("--out", type=Path, metavar="DIR", help="folder to write to (default: ./NAME)")
    add(
        "--seed", type=int, metavar="N",
        help="of geometries and velocities (default: that of the shipped files)",
    )  # fmt: skip
    return parser


def _generate(args: argparse.Namespace) -> None:
    from sweep.datagen.generate import generate

    written = generate(args.name, args.out or Path(args.name), seed=args.seed)
    size = sum(path.stat().st_size for path in written)
    print(f"wrote {', '.join(map(str, written))} ({size / 1e6:.2f} MB)")
