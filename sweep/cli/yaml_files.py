"""YAML files that Hydra cannot read, or reads for ever. Imports no torch.

It copies what an anchor stands for wherever its alias is: a few lines can mean billions of values.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import yaml

from sweep.errors import InputError

__all__ = ["check_config_dirs"]

MOST = 100_000
"""Values of a configuration file; real ones have a few hundred."""

_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")


def check_config_dirs(words: Sequence[str]) -> None:
    """Check the files of the folders that a command line names as configuration.

    Raises:
        InputError: naming the file that holds no keys, or whose anchors stand for too much.
    """
    folders = [after for flag, after in itertools.pairwise(words) if flag in _FLAGS]
    folders += [word.partition("=")[2] for word in words if word.startswith("--config-")]
    for folder in filter(None, folders):
        for path in sorted(Path(folder).rglob("*.yaml")):
            _check(path)


def _check(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        size = _size(root, {}) if root is not None and "*" in text else 0  # with an alias
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # Hydra tells if it needs the file
    except RecursionError as error:
        raise InputError(f"{path}: an anchor holds itself") from error
    if isinstance(root, yaml.SequenceNode):
        raise InputError(f"{path}: is a list; a configuration has keys, as in 'seed: 1'")
    if size > MOST:
        raise InputError(
            f"{path}: its anchors stand for {size:.1g} values; at most {MOST} are read"
        )


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values of a node with its aliases written out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        children = (
            [part for pair in node.value for part in pair]
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
