"""The comment line of an extxyz frame: keys and values in every spelling. Imports no torch.

ASE's reader guesses where this one is exact: there ``pbc=FFF`` and ``PBC="F F F"`` are periodic, of
a key that stands twice the last one counts, and a quote that is never closed swallows what follows.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError

__all__ = ["RESERVED", "lattice", "parse_comment", "periodic", "value_of"]

RESERVED = ("Lattice", "Properties", "pbc")
"""Keys of the format itself; they are found in any case."""

_RESERVED = {name.lower(): name for name in RESERVED}

_LIST = r"\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]"  # up to three deep
_TOKEN = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s=,"'{}\[\]]+)
        (?:\s*=\s*(?:
            "(?P<double>(?:[^"\\]|\\.)*)"
          | '(?P<single>(?:[^'\\]|\\.)*)'
          | (?P<list>"""
    + _LIST
    + r""")(?=[\s,]|$)
          | \{(?P<brace>[^{}]*)\}(?=[\s,]|$)
          | (?P<open>["'].*)
          | (?P<bare>(?<==)[^\s]+|[^\s=]+(?=\s|$))
          | (?P<empty>)
        ))?
      | (?P<other>\S)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_WORD = re.compile(r"[^\s,]+")
_BOOLEANS = {
    "T": True, "F": False, "true": True, "false": False, "True": True, "False": False,
    "TRUE": True, "FALSE": False,
}  # fmt: skip
_FLAGS = _BOOLEANS | {
    "t": True, "f": False, "1": True, "0": False, "1.0": True, "0.0": False,
    ".true.": True, ".false.": False, ".TRUE.": True, ".FALSE.": False,
}  # fmt: skip


def parse_comment(line: str) -> dict[str, str | None]:
    """The keys of a comment line with their values as text, None for a key without one.

    Raises:
        InputError: a key stands twice with different values, or a value has an end that is not
            there.
    """
    found: dict[str, str | None] = {}
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup
        if kind == "other":
            continue
        key = match["key"]
        if key[0] in "\"'":
            key = _ESCAPED.sub(r"\1", key[1:-1])
        value = None if kind in ("key", None) else match[kind]
        if kind == "open":
            raise InputError(f"the value of '{key}' has no end: {match[kind][:20]!r}")
        if kind in ("double", "single") and value and "\\" in value:
            value = _ESCAPED.sub(r"\1", value)
        if value is None and key in _BOOLEANS and "pbc" in found:
            raise InputError('pbc has values outside its quotes; write pbc="T T F"')
        key = _RESERVED.get(key.lower(), key)
        if key in found and not _same(found[key], value):
            raise InputError(
                f"the key '{key}' stands twice with different values, {_show(found[key])} and "
                f"{_show(value)}"
            )
        found[key] = value
    return found


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return one == other
    first, second = value_of(one), value_of(other)
    return isinstance(first, str) == isinstance(second, str) and bool(np.array_equal(first, second))


def _show(value: str | None) -> str:
    return "none" if value is None else f"'{value if len(value) <= 30 else value[:27] + '...'}'"


def value_of(text: str | None) -> Any:
    """A value as number, array, truth value or text; True for a key without one, as in ASE."""
    if text is None:
        return True
    if text.startswith("_JSON "):
        return _json(text[6:], text)
    if text.startswith("["):
        return _json(text, text) if "[" in text[1:] else value_of(text[1:-1])
    words = text.split() if "," not in text else _WORD.findall(text)
    if not words or "_" in text:  # Python reads 1_000 as a number
        return text
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        try:
            numbers = [float(word) for word in words]  # type: ignore[misc]
        except ValueError:
            if all(word in _BOOLEANS for word in words):
                flags = [_BOOLEANS[word] for word in words]
                return flags[0] if len(flags) == 1 else np.array(flags)
            return text
    try:
        return numbers[0] if len(numbers) == 1 else np.array(numbers)
    except OverflowError:
        return np.array(numbers, dtype=float)


def _json(text: str, otherwise: str) -> Any:
    try:
        value = json.loads(text)
        array = np.array(value)
    except (ValueError, RecursionError):
        return otherwise
    return array if array.dtype.kind in "ifb" else value


def lattice(text: str | None) -> NDArray[np.float64]:
    """The cell ``[3, 3]``, rows are the vectors, Å.

    Raises:
        InputError: it is not nine numbers.
    """
    value = np.asarray(value_of(text))
    if value.dtype.kind not in "if" or value.size != 9:
        raise InputError(f"Lattice must be nine numbers, ax ay az bx ...; got {_show(text)}")
    return value.astype(np.float64).reshape(3, 3)


def periodic(text: str | None) -> NDArray[np.bool_]:
    """The three flags of ``pbc``: three of them in any spelling, or one for all.

    Raises:
        InputError: they are none that can be told.
    """
    bare = (text or "").removeprefix("_JSON ").strip().strip("[](){}")
    words = _WORD.findall(bare)
    if len(words) == 1 and words[0] not in _FLAGS and len(words[0]) == 3:
        words = list(words[0])  # FFF, TTF, 110
    if len(words) not in (1, 3) or not all(word in _FLAGS for word in words):
        raise InputError(f'pbc must be three of T and F, as pbc="F F F"; got {_show(text)}')
    return np.array([_FLAGS[word] for word in words] * (3 // len(words)))
