"""A MACE_SCF ``config.yaml`` as plain Python values.

MACE_SCF hands the file to an argument parser: hyphens and underscores in names are the same, lists
and mappings may be given as text, and ``None`` is a word.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError

__all__ = [
    "file_text",
    "literal",
    "number",
    "plain_name",
    "read_as_written",
    "read_file",
    "read_text",
]


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-3`` is a number and a key stands once."""


# PyYAML takes YAML 1.1 literally, which wants a dot and a sign in 1.0e-3.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key is no plain value")
        if key in seen:
            problem = f"the key '{key}' stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)  # "<<", which may stand beside a key that it would set
    return {
        loader.construct_object(key): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_file(path: Path) -> dict[str, Any]:
    """Read a file; names have underscores, and what is given as text is what it says.

    Raises:
        InputError: if it cannot be read as a mapping.
    """
    return read_text(file_text(path), f"from_mace_scf={path}")


def file_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: if it cannot be read.
    """
    where = f"from_mace_scf={path}"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not a text file") from error


def read_text(text: str, where: str) -> dict[str, Any]:
    """Read the text of a file: see :func:`read_file`.

    Args:
        text: Its content.
        where: The file in messages.

    Raises:
        InputError: if it cannot be read as a mapping.
    """
    result: dict[str, Any] = {}
    for key, value in read_as_written(text, where).items():
        name = plain_name(key)
        if name in result:
            raise InputError(f"{where}: the key '{name}' stands twice")
        result[name] = literal(value)
    return result


def read_as_written(text: str, where: str) -> dict[str, Any]:
    """Keys and values of a file as they stand there: a list that is given as text stays text.

    MACE_SCF's parser takes such a text and no list, and its ``None`` as a word is not the default.

    Raises:
        InputError: if it cannot be read as a mapping.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{where}: is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{where}: is not a configuration of MACE_SCF; it holds no keys")
    return {str(key): value for key, value in content.items()}


def plain_name(key: str) -> str:
    """A key with underscores."""
    return key.replace("-", "_")


def literal(value: Any) -> Any:
    """What a text says if it is a Python value, as MACE_SCF reads it; else the value itself."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text in ("None", "none", "null", ""):
        return None
    if text in ("True", "true", "False", "false"):
        return text.lower() == "true"
    if text[:1] in ("{", "[", "("):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return value
    return value


def number(value: Any) -> Any:
    """A number that is given as text; else the value itself."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
