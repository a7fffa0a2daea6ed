"""``loss-sweep compare STUDY …``: compare trials by errors and term balance."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sweep.cli.program import guarded, listed, make_parser, positive
from sweep.errors import InputError

__all__ = ["main"]

_EXAMPLES = """\
examples (python -m sweep.compare is the same):
  loss-sweep compare outputs/esp_weights
  loss-sweep compare outputs/first outputs/second --out comparison
  loss-sweep compare outputs/runs/2026-11-22_10-15-42 outputs/runs/2026-11-22_11-03-07
  loss-sweep compare outputs/esp_weights --weights esps=3,forces=50
  loss-sweep compare outputs/esp_weights --trials 0,12,17 --figures svg,png
  loss-sweep compare outputs/esp_weights --metrics forces,dipole --limit forces=1.1
  loss-sweep compare outputs/esp_weights --watch
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    # Ctrl-C is how --watch is ended.
    return guarded(lambda: _compare(args), interrupted=None if args.watch else "stopped")


def _compare(args: argparse.Namespace) -> None:
    for folder in args.folders:
        key, is_override, _ = str(folder).partition("=")
        if is_override and not folder.exists():
            raise InputError(
                f"{folder}: compare takes folders, and no overrides such as {key}; other metrics "
                "and limits: --metrics forces,dipole --limit forces=1.1"
            )
    # Only now: --help and wrong arguments must not wait for pandas.
    from sweep.report.compare import Options, run

    run(
        Options(
            folders=args.folders,
            out=args.out,
            weights=args.weights,
            metrics=listed(args.metrics),
            limits=args.limit,
            trials=listed(args.trials),
            figures=listed(args.figures),
            rows=args.rows,
            watch=args.watch,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "compare",
        "Compare the trials of studies, or single trials: errors, term balance, what matters, "
        "advice. Prints tables and writes one HTML page with all figures.",
        examples=_EXAMPLES,
    )
    add = parser.add_argument
    add("folders", nargs="+", metavar="STUDY", type=Path, help="folder of a study or of a trial")
    add("--trials", "--trial", metavar="N,...", default="", help="trials whose training is shown")
    add("--weights", metavar="TERM=W,...", help="show the recorded balance under other weights too")
    add(
        "--metrics",
        metavar="QUANTITY[=EXPONENT],...",
        default="",
        help="judge the same trials by these errors instead of the study's own; forces=2 counts "
        "twice in the geometric mean",
    )
    add(
        "--limit",
        metavar="QUANTITY=F,...",
        help="largest errors allowed, as multiples of the default's, instead of the study's own; "
        "'' for none",
    )
    add(
        "--out", metavar="DIR", type=Path,
        help="folder to write the page to (default: STUDY/report, of several studies comparison)",
    )  # fmt: skip
    add("--figures", metavar="FORMAT,...", default="", help="also as svg, png, pdf, for a paper")
    add("--rows", type=positive, default=15, metavar="N", help="trials listed here (default: 15)")
    add(
        "--watch", nargs="?", type=positive, const=10, metavar="SECONDS",
        help="again whenever something new is recorded, until Ctrl-C; looks every 10 seconds",
    )  # fmt: skip
    return parser
