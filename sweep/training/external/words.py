"""A command as it is configured: words with values of the configuration in them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.errors import InputError

__all__ = ["command_words", "mentions"]

_VALUE = re.compile(r"\$\{[^{}]*\}")


def command_words(cfg: DictConfig, key: str) -> list[str]:
    """The words of a command, with ``${…}`` replaced by the values of the configuration.

    A text is divided as a shell does it, before its values are put in: one with spaces stays one
    word. No shell is run.

    Args:
        cfg: The configuration.
        key: Where the command stands, ``trainer.command`` for example.

    Raises:
        InputError: if it is empty, names what is not there, or no such program can be found.
    """
    raw = _raw(cfg, key)
    try:
        words = raw if isinstance(raw, list) else _split(str(raw))
    except ValueError as error:
        raise InputError(f"{key}: {error}: {raw}") from error
    if not words:
        raise InputError(f"{key}: empty; give the program and its arguments")
    nested: list[str] = []
    parent = OmegaConf.select(cfg, key.rpartition(".")[0])
    for word in words:
        if isinstance(word, dict | list):
            raise InputError(f"{key}: must be a text or a list of words; got {word!r} in it")
        holder = ListConfig([word], parent=parent)
        try:
            value = holder[0]
        except OmegaConfBaseException as error:
            text = str(error.msg or error).splitlines()[0]
            raise InputError(f"{key}: {text} (in '{word}')") from error
        if isinstance(value, DictConfig | ListConfig):
            raise InputError(f"{key}: '{word}' names a group of keys, not a value")
        nested.append(str(value))
    program = shutil.which(nested[0])
    if program is None:
        raise InputError(f"{key}: no program '{nested[0]}' from {Path.cwd()} or on the PATH")
    return [str(Path(program).absolute()) if "/" in nested[0] else program, *nested[1:]]


def mentions(cfg: DictConfig, key: str, *nodes: str) -> bool:
    """Whether a configured value or anything in the given nodes refers to a key.

    Args:
        cfg: The configuration.
        key: A key, for example ``loss.forces.weight``.
        *nodes: Where to look, for example ``trainer.command``.
    """
    text = " ".join(str(_raw(cfg, node)) for node in nodes)
    refers = (found[2:-1].strip() for found in re.findall(r"\$\{[^{}]*\}", text))
    return any(f"{key}.".startswith(f"{name}.") for name in refers if name)


def _raw(cfg: DictConfig, key: str) -> Any:
    where, _, last = key.rpartition(".")
    node: Any = OmegaConf.to_container(OmegaConf.select(cfg, where), resolve=False)
    return node.get(last)


def _split(text: str) -> list[str]:
    """The words of a text; the values in it are parts of words, whatever they hold."""
    values: list[str] = []

    def hide(found: re.Match[str]) -> str:
        values.append(found[0])
        return f"\0{len(values) - 1}\0"

    words = shlex.split(_VALUE.sub(hide, text))
    return [re.sub("\0(\\d+)\0", lambda found: values[int(found[1])], word) for word in words]
