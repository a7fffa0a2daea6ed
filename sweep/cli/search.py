"""``loss-sweep search``: a study, as ``python -m sweep … -m``."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    from sweep.cli.hydra_app import run

    return run([*arguments, "-m"])
