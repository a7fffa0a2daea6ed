"""``loss-sweep train``: one training, as ``python -m sweep …`` without ``-m``."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.cli.program import PROGRAM, UsageError, guarded

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    if {"-m", "--multirun"} & set(arguments):
        return guarded(_refuse)
    from sweep.cli.hydra_app import run

    return run(arguments)


def _refuse() -> None:
    raise UsageError(f"-m: {PROGRAM} train trains once; {PROGRAM} search searches")
