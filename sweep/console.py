"""The console that everything is printed on."""

from __future__ import annotations

from rich.console import Console

__all__ = ["make_console"]

_PIPE_WIDTH = 120  # of tables in a file or a log, where nobody's window is narrower


def make_console() -> Console:
    """A console as wide as the terminal, or as our tables want where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)
