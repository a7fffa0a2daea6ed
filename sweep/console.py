"""The console that everything is printed on."""

from __future__ import annotations

from rich.console import Console

__all__ = ["make_console"]

_PIPE_WIDTH = 120  # of tables in a file or a log, where nobody's window is narrower


class _Console(Console):
    """A console whose reader may go away: that is told to the command, which then ends well."""

    def on_broken_pipe(self) -> None:
        """Instead of ending the program with status 1, as rich does."""
        raise BrokenPipeError


def make_console() -> Console:
    """A console as wide as the terminal, or as our tables want where there is none."""
    console = _Console()
    return console if console.is_terminal else _Console(width=_PIPE_WIDTH)
