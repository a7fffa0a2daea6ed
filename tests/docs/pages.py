"""The code blocks of README and docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}


@dataclass(frozen=True)
class Block:
    """A fenced block, the page that it is on, and the name in the comment before it."""

    page: str
    language: str
    name: str | None
    text: str


def blocks(language: str) -> list[Block]:
    """All blocks of a language."""
    found = []
    for page, text in PAGES.items():
        for name, body in re.findall(
            rf"(?:<!-- ([\w ]+) -->\n)?^ *```{language}\n(.*?)^ *```$", text, re.M | re.S
        ):
            indent = re.match(" *", body).group()
            lines = [line.removeprefix(indent) for line in body.splitlines(keepends=True)]
            found.append(Block(page, language, name or None, "".join(lines)))
    return found


def block(language: str, name: str) -> str:
    """The text of the one block of that name."""
    (found,) = [each for each in blocks(language) if each.name == name]
    return found.text
