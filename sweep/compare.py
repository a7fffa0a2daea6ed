"""``python -m sweep.compare STUDY [STUDY ...]``: compare trials by errors and term balance."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import SweepError

__all__ = ["main"]

_EXAMPLES = """\
examples:
  python -m sweep.compare outputs/esp_weights
  python -m sweep.compare outputs/first outputs/second --out comparison
  python -m sweep.compare outputs/runs/2026-11-22_10-15-42 outputs/runs/2026-11-22_11-03-07
  python -m sweep.compare outputs/esp_weights --weights esps=3,forces=50
  python -m sweep.compare outputs/esp_weights --trials 0,12,17 --figures svg,png
  python -m sweep.compare outputs/esp_weights --watch
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or pipe whose encoding lacks Å
            stream.reconfigure(errors="replace")
    arguments = _parser().parse_args(argv)
    try:
        # Only now: --help and wrong arguments must not wait for pandas.
        from sweep.report.compare import Options, run

        run(
            Options(
                folders=[Path(folder) for folder in arguments.folders],
                out=None if arguments.out is None else Path(arguments.out),
                weights=arguments.weights,
                trials=_listed(arguments.trials),
                figures=_listed(arguments.figures),
                rows=arguments.rows,
                watch=arguments.watch,
            )
        )
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # how --watch is ended
        return 0
    except BrokenPipeError:  # the output went to something like head
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 - until the process ends
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweep.compare",
        description="Compare the trials of studies, or single trials: errors, term balance, what "
        "matters, advice. Prints tables and writes one HTML page with all figures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folders", nargs="+", metavar="STUDY", help="folder of a study or of a trial")
    add("--out", metavar="DIR", help="where the page goes (STUDY/report; of several: comparison)")
    add("--weights", metavar="TERM=W,...", help="show the recorded balance under other weights too")
    add("--trials", metavar="N,...", default="", help="trials whose course is shown")
    add("--figures", metavar="FORMAT,...", default="", help="also as svg, png, pdf, for a paper")
    add("--rows", type=_positive, default=15, metavar="N", help="trials listed here (default: 15)")
    add(
        "--watch", nargs="?", type=_positive, const=10, metavar="SECONDS",
        help="again whenever something new is recorded, until Ctrl-C; looks every 10 seconds",
    )  # fmt: skip
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or larger, got {text}")
    return value


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    sys.exit(main())
