"""What a user may type, as Hydra understands it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sweep.config.foreign import own_name
from sweep.errors import InputError

__all__ = ["understood"]

_SEARCHED = "hydra.sweeper.params"
_TERM = re.compile(r"(\+{0,2})(loss\.\w+)=(.+)")
_STAGE = re.compile(r"\+{1,2}train_schedule\.(\d+)=\{.*")
_METRICS = re.compile(r"objective\.metrics=\{(.*)\}")
_WEIGHT = re.compile(r"[-+.\d]|(?:interval|range|tag|int|float)\(")
_MULTIRUN = ("-m", "--multirun")
_SHOW_ONLY = ("--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help")


def understood(arguments: Sequence[str]) -> list[str]:
    """The words of the command line, flags first.

    * ``loss.forces=3`` is ``loss.forces.weight=3``, which is said.
    * ``objective.metrics={forces: 2}`` is ``objective.metrics=[{forces: 2}]``: Hydra puts no
      mapping in the place of a list.
    * ``hydra.sweeper.params.KEY=…`` names a searched key, whose dots Hydra would take for levels;
      ``null`` and ``~`` take it out of the search.
    * ``+train_schedule.1={…}`` adds a stage, which Hydra cannot.
    * Flags may stand anywhere: argparse takes no overrides on both sides of ``-m``; what only shows
      something takes no ``-m``.

    Raises:
        InputError: on a flag of mace or MACE_SCF, with what it is called here.
    """
    overrides = [w for w in arguments if w.startswith("~") or ("=" in w and w[0] != "-")]
    flags = [word for word in arguments if word not in overrides]
    for flag in flags:
        _check(flag)
    multirun = any(flag in _MULTIRUN for flag in flags)
    flags = [flag for flag in flags if flag not in _MULTIRUN]
    if multirun and not any(flag.partition("=")[0] in _SHOW_ONLY for flag in flags):
        flags.append("-m")
    return flags + _with_stages(_searched([_measured(_weighed(word)) for word in overrides]))


def _check(flag: str) -> None:
    name = flag.partition("=")[0]
    own = own_name(name.removeprefix("--")) if name.startswith("--") else None
    if own is not None:
        raise InputError(f"{name}: is no flag here; it is {own}")


def _weighed(word: str) -> str:
    """``loss.forces=3`` by its whole name; a term that is switched or described is left alone."""
    match = _TERM.fullmatch(word)
    if match is None or not _WEIGHT.match(match[3]):
        return word
    whole = f"{match[1]}{match[2]}.weight={match[3]}"
    print(f"{word} is read as {whole}", file=sys.stderr)
    return whole


def _measured(word: str) -> str:
    return _METRICS.sub(r"objective.metrics=[{\1}]", word)


def _searched(words: Sequence[str]) -> list[str]:
    """Keys of the search space without their prefix; those that are taken out as one override."""
    kept, out = [], []
    for word in words:
        key, _, value = word.lstrip("~+").partition("=")
        if not key.startswith(f"{_SEARCHED}."):
            kept.append(word)
        elif word.startswith("~") or value in ("null", ""):
            out.append(key.removeprefix(f"{_SEARCHED}."))
        else:
            kept.append(f"{key.removeprefix(f'{_SEARCHED}.')}={value}")
    if out:
        kept.append(f"{_SEARCHED}={{{', '.join(f'{key}: null' for key in out)}}}")
    return kept


def _with_stages(words: Sequence[str]) -> list[str]:
    """New stages as an option of a group, since Hydra sets no whole entry of a typed mapping."""
    added: dict[str, object] = {}
    kept = []
    for word in words:
        match = _STAGE.fullmatch(word)
        if match is None:
            kept.append(word)
            continue
        try:
            added[match[1]] = OverridesParser.create().parse_override(word).value()
        except HydraException as error:
            raise InputError(f"{word}: {' '.join(str(error).split())}") from error
    if added:
        ConfigStore.instance().store(
            group="stages",
            name="added",
            node={"train_schedule": added},
            package="_global_",
            provider="the command line",
        )
        kept.append(
            "+stages=added"
        )  # on top of an experiment; values on the command line are above
    return kept
