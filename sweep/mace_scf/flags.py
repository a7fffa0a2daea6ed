"""Flags of MACE_SCF's command line as keys of its ``config.yaml``: they mean the same there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from sweep.errors import InputError
from sweep.mace_scf.reading import plain_name, read_as_written

__all__ = ["with_flags"]

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")


def with_flags(text: str, words: Sequence[str], where: str) -> str:
    """The text of a file with flags in it, which win over its keys as they do there.

    Args:
        text: The file.
        words: What stands after ``run_train.py``; ``--config`` is left out.
        where: The file in messages.

    Raises:
        InputError: if a word is neither a flag nor a value of one.
    """
    if not words:
        return text
    content = read_as_written(text, where)
    written = {plain_name(key): key for key in content}
    for name, value in _keys(words).items():
        if plain_name(name) != "config":
            content[written.get(plain_name(name), name)] = value
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _keys(words: Sequence[str]) -> dict[str, Any]:
    """Flags by their names: true, a value, or the list of several."""
    found: dict[str, list[str]] = {}
    values: list[str] | None = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            values = found[name] = [value] if equals else []
        elif values is None:
            raise InputError(
                f"trainer.args: '{word}' is neither a flag nor a value of one; give what stands "
                "after run_train.py"
            )
        else:
            values.append(word)
    return {
        name: True if not given else _typed(given[0]) if len(given) == 1 else given
        for name, given in found.items()
    }


def _typed(value: str) -> Any:
    """A number or a truth as such; all else is text, also what YAML would read otherwise."""
    if _WHOLE.fullmatch(value):
        return int(value)
    if _NUMBER.fullmatch(value):
        return float(value)
    return value.lower() == "true" if value.lower() in ("true", "false") else value
