"""The console that everything is printed on, and the one way to print a table on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
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


class _Table(Table):
    """A table that is printed in parts below each other where it is wider than the console.

    Each part repeats the first columns and has as many of the others as fit whole.

    Attributes:
        n_first: How many columns are repeated.
    """

    n_first = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = self._parts(options.max_width)
        for i, columns in enumerate(parts):
            part = Table(
                title=self.title if i == 0 else None, title_justify=self.title_justify,
                caption=self.caption if i == len(parts) - 1 else None,
            )  # fmt: skip
            part.columns = [replace(column, _index=place) for place, column in enumerate(columns)]
            part.rows = self.rows
            yield part

    def _parts(self, width: int) -> list[list[Column]]:
        """The columns of each part."""
        first, others = self.columns[: self.n_first], self.columns[self.n_first :]
        parts: list[list[Column]] = [[]]
        for column in others:
            if parts[-1] and _width([*first, *parts[-1], column]) > width:
                parts.append([])
            parts[-1].append(column)
        return [[*first, *part] for part in parts]


def _width(columns: Sequence[Column]) -> int:
    """Of a table in which nothing wraps: cells, a space to either side of each, rules."""
    cells = [[str(column.header), *map(str, column.cells)] for column in columns]
    lines = [[line for cell in texts for line in cell.splitlines()] for texts in cells]
    return 1 + sum(3 + max((cell_len(line) for line in found), default=0) for found in lines)


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

    Where it is too wide, it is printed in parts that repeat the first columns.

    Args:
        title: What stands above.
        columns: Headings; a line break ends a line of them.
        rows: Cells of each row, one that is a :class:`rich.text.Text` with its style; None: a line
            between two rows.
        align: ``l`` or ``r`` for each of the first columns; the others stand right and do not wrap.
        caption: What stands below.
        styles: Style of each row.
    """
    table = _Table(
        title=plain(title), title_justify="left",
        caption=None if caption is None else plain(caption),
    )  # fmt: skip
    for i, heading in enumerate(columns):
        side = cast(Literal["left", "right"], _ALIGN[align[i : i + 1] or "r"])
        table.add_column(plain(heading), justify=side, no_wrap=i >= len(align))
    table.n_first = len(align)
    looks: list[Any] = list(styles)
    for cells in rows:
        if cells is None:
            table.add_section()
        else:
            texts = [cell if isinstance(cell, Text) else plain(cell) for cell in cells]
            table.add_row(*texts, style=looks.pop(0) if looks else None)
    return table
