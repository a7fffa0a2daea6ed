"""What of a MACE_SCF file is not taken as it is, and why: a table, shown once."""

from __future__ import annotations

import sys
from typing import Any

from sweep.mace_scf.effects import effect_of

__all__ = ["Remarks"]

_ORDER = ("different", "not used", "as here")
_LONGEST = 40  # of a value that is shown
_WIDTH = 160  # where the width of the terminal is not known


class Remarks:
    """A list of keys with what happened to them: ``different``, ``not used`` or ``as here``."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Any, str, str]] = []

    def __contains__(self, key: str) -> bool:
        return any(entry[0] == key for entry in self.entries)

    def add(self, key: str, value: Any, what: str, reason: str) -> None:
        """Add a key."""
        self.entries.append((key, value, what, reason))

    def print(self, title: str) -> None:
        """Print the table on stderr, so that ``--cfg job`` prints nothing but the configuration."""
        from rich.console import Console

        from sweep.console import make_table

        if not self.entries:
            return
        console = Console(file=sys.stderr)
        console = console if console.is_terminal else Console(file=sys.stderr, width=_WIDTH)
        rows = []
        for key, value, what, reason in sorted(self.entries, key=lambda e: _ORDER.index(e[2])):
            text = str(value)
            text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
            rows.append([key, text, what, effect_of(key), reason])
        headings = ["key", "value", "", "in MACE_SCF", "here"]
        console.print(make_table(title, headings, rows, align="lllll"))
