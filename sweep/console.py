"""The console that everything is printed on, and the one way to print a table on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.errors import printable

__all__ = ["make_console", "make_table", "plain"]

_PIPE_WIDTH = 120  # of tables in a file or a log, where nobody's window is narrower
_ALIGN = {"l": "left", "r": "right"}


class _Console(Console):
    """A console whose reader may go away: that is told to the command, which then ends well."""

    def on_broken_pipe(self) -> None:
        """Instead of ending the program with status 1, as rich does."""
        raise BrokenPipeError


def make_console() -> Console:
    """A console as wide as the terminal, or as our tables want where there is none."""
    console = _Console()
    return console if console.is_terminal else _Console(width=_PIPE_WIDTH)


def plain(text: object, style: str = "") -> Text:
    """Text as it is: a name is no markup, and must not steer the terminal."""
    return Text(printable(str(text)), style=style)


def make_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object] | None],
    *,
    align: str = "l",
    caption: str | None = None,
    styles: Sequence[str | None] = (),
) -> Table:
    """A table of texts, shown as they are.

    Args:
        title: What stands above.
        columns: Headings; a line break ends a line of them.
        rows: Cells of each row, one that is a :class:`rich.text.Text` with its style; None: a line
            between two rows.
        align: ``l`` or ``r`` for each of the first columns; the others stand right and do not wrap.
        caption: What stands below.
        styles: Style of each row.
    """
    table = Table(
        title=plain(title), title_justify="left",
        caption=None if caption is None else plain(caption),
    )  # fmt: skip
    for i, heading in enumerate(columns):
        side = cast(Literal["left", "right"], _ALIGN[align[i : i + 1] or "r"])
        table.add_column(plain(heading), justify=side, no_wrap=i >= len(align))
    looks: list[Any] = list(styles)
    for cells in rows:
        if cells is None:
            table.add_section()
        else:
            texts = [cell if isinstance(cell, Text) else plain(cell) for cell in cells]
            table.add_row(*texts, style=looks.pop(0) if looks else None)
    return table
