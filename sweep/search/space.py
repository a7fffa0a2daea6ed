"""The search space of a study: which keys are searched, over what, and from which defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

import losses
from sweep.config.checks import check_config
from sweep.errors import InputError, unknown
from sweep.search.grammar import describe, literal, parse_distribution

__all__ = ["OFF", "ON", "SearchSpace", "values_in", "values_of"]

# Parts of the configuration that all trials of a study share, and why.
_FIXED = {
    "heads": "all trials of a study have the same data",
    "split_seed": "all trials of a study have the same data",
    "objective": "all trials of a study are judged alike",
    "search": "it describes the study, not a trial",
}

ON, OFF = "on", "off"
_NULL = "null in hydra.sweeper.params"
_WEIGHT = re.compile(r"(?:train_schedule\.(?P<stage>\d+)\.)?loss\.(?P<term>\w+)(?:\.weight)?")
_TERM = re.compile(r"(train_schedule\.\d+\.)?loss\.\w+")


@dataclass(frozen=True)
class SearchSpace:
    """What a study searches.

    A key that names a whole term with ``choice(on, off)`` is a switch: off means weight 0, and the
    searched keys inside the term have no value then.

    Attributes:
        distributions: For every searched config key its Optuna distribution, switches first.
        fixed: Overrides that hold for all trials.
        left_out: Keys of ``hydra.sweeper.params`` that are not searched, and why.
    """

    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, params: Mapping[str, Any], arguments: Sequence[str]) -> SearchSpace:
        """Read ``hydra.sweeper.params`` and the command line, which takes precedence.

        A key of ``params`` is taken out of the search by null, by a value on the command line, and
        with the term or stage that it lies in (``~loss.esps``).

        Raises:
            InputError: if a sweep is not valid, or nothing is searched.
        """
        left_out = {key: _NULL for key, value in params.items() if value is None}
        texts = [f"{key}={value}" for key, value in params.items() if value is not None]
        entries: dict[str, Override] = {}
        for text in [*texts, *arguments]:
            override = _parsed(text)
            key = override.key_or_group
            if override.is_delete():
                gone = [name for name in entries if f"{name}.".startswith(f"{key}.")]
                left_out |= {name: text for name in gone if name in params}
                entries = {name: each for name, each in entries.items() if name not in gone}
            elif key in params and not override.is_sweep_override():
                left_out[key] = text
            else:
                left_out.pop(key, None)
            entries[key] = override
        found = {
            key: parse_distribution(key, override)
            for key, override in entries.items()
            if override.is_sweep_override()
        }
        if not found:
            raise InputError(
                "hydra.sweeper.params: the search space is empty; name at least one key there or "
                "on the command line, for example 'loss.forces.weight=tag(log, interval(1, 1000))'"
            )
        fixed = [
            str(override.input_line)
            for override in entries.values()
            if not override.is_sweep_override()
        ]
        switches = {key: dist for key, dist in found.items() if _is_switch(key, dist)}
        return cls({**switches, **found}, fixed, left_out)

    @property
    def switches(self) -> list[str]:
        """The keys that turn a term on or off."""
        return [key for key, dist in self.distributions.items() if _is_switch(key, dist)]

    @property
    def weights(self) -> dict[str, tuple[int | None, str]]:
        """The keys of weights, each with its stage (None: the composed loss) and its term."""
        found = {key: match for key in self.distributions if (match := _WEIGHT.fullmatch(key))}
        return {
            key: (None if match["stage"] is None else int(match["stage"]), match["term"])
            for key, match in found.items()
            if key not in self.switches
        }

    def is_searched(self, key: str, params: Mapping[str, Any]) -> bool:
        """Whether ``key`` has a value in a trial whose switches stand as in ``params``."""
        return not any(
            key.startswith(f"{switch}.") and params.get(switch) == OFF for switch in self.switches
        )

    def defaults(self, cfg: DictConfig) -> dict[str, Any]:
        """The configured values of the searched keys: the parameters of trial 0.

        Raises:
            InputError: if a key names nothing in the configuration, or its configured value lies
                outside its range.
        """
        params: dict[str, Any] = {}
        for key, why in self.left_out.items():
            if why == _NULL:
                _node(key, cfg)
        for key in self.distributions:
            if self.is_searched(key, params):
                params[key] = self._default(key, cfg)
        return params

    def _default(self, key: str, cfg: DictConfig) -> Any:
        where = f"hydra.sweeper.params['{key}']"
        if reason := _FIXED.get(key.partition(".")[0]):
            raise InputError(f"{where}: cannot be searched: {reason}")
        node = _node(key, cfg)
        distribution = self.distributions[key]
        if key in self.switches:
            node = ON if (node.weight if OmegaConf.is_dict(node) else node) else OFF
        if not isinstance(node, str | int | float | bool | None):
            hint = "; to turn it on or off: choice(on, off)" if _TERM.fullmatch(key) else ""
            raise InputError(f"{where}: names a group of keys, not a value{hint}")
        if not _contains(distribution, node):
            raise InputError(
                f"{where}: the configured value {node}, which trial 0 trains, is not in the "
                f"search space {describe(distribution)}"
            )
        return node

    def check(self, cfg: DictConfig) -> None:
        """Check the configuration at the ends and inside of every range, and at every choice.

        Raises:
            InputError: if the configuration is not valid there.
        """
        for key, distribution in self.distributions.items():
            for value in values_in(distribution):
                trial = cfg.copy()
                try:
                    self.apply({key: value}, trial)
                    check_config(trial)
                except (InputError, OmegaConfBaseException) as error:
                    raise InputError(
                        f"hydra.sweeper.params['{key}']: {describe(distribution)} holds {value}: "
                        f"{str(error).splitlines()[0]}"
                    ) from error

    def clip(self, key: str, value: float) -> float:
        """``value`` moved to the nearest one in the range of ``key``."""
        distribution = self.distributions[key]
        if isinstance(distribution, CategoricalDistribution):
            numbers = [c for c in distribution.choices if isinstance(c, int | float) and c > 0]
            return min(numbers, key=lambda choice: abs(math.log(choice / value)))
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        value = min(max(value, distribution.low), distribution.high)
        if distribution.step is None:
            return value
        steps = round((value - distribution.low) / distribution.step)
        return min(distribution.low + steps * distribution.step, distribution.high)

    def apply(self, params: Mapping[str, Any], cfg: DictConfig) -> list[str]:
        """Set the parameters of a trial in its configuration.

        Returns:
            The same as Hydra's overrides.
        """
        overrides = []
        for key, chosen in params.items():
            target, value = key, chosen
            if key in self.switches:
                if chosen == ON:
                    continue
                whole = OmegaConf.is_dict(OmegaConf.select(cfg, key))
                target, value = f"{key}.weight" if whole else key, 0.0
            OmegaConf.update(cfg, target, value)
            overrides.append(f"{target}={literal(value)}")
        return overrides

    def describe(self) -> dict[str, str]:
        """The space as text, for records and comparisons."""
        return {key: describe(dist) for key, dist in sorted(self.distributions.items())}


def _node(key: str, cfg: DictConfig) -> Any:
    """What the configuration holds at a searched key.

    Raises:
        InputError: if it has no such key.
    """
    where = f"hydra.sweeper.params['{key}']"
    node: Any = cfg
    walked: list[str] = []
    for part in key.split("."):
        options = {str(option): option for option in node} if OmegaConf.is_dict(node) else {}
        if part not in options:
            inside = f"key in '{'.'.join(walked)}'" if walked else "key"
            hint = ""
            if walked == ["loss"] and part in losses.names():
                hint = (
                    f"; choose the terms with loss=[{','.join([*options, part])}], or search=auto "
                    "for the terms that there are"
                )
            raise InputError(unknown(inside, part, options, where=where) + hint)
        node = node[options[part]]
        walked.append(part)
    return node


def values_of(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command line that sweep nothing.

    Raises:
        InputError: if one cannot be read.
    """
    return [text for text in arguments if not _parsed(text).is_sweep_override()]


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise InputError(
            f"hydra.sweeper.params: cannot read '{text}': {' '.join(str(error).split())}"
        ) from error


def _is_switch(key: str, distribution: BaseDistribution) -> bool:
    return (
        _TERM.fullmatch(key) is not None
        and isinstance(distribution, CategoricalDistribution)
        and set(distribution.choices) <= {ON, OFF}
    )


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and distribution._contains(float(value))


def values_in(distribution: BaseDistribution) -> Sequence[Any]:
    """Values of a searched key that stand for all: every choice, or the ends of the range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution) or distribution.step is not None:
        return low, high
    # Between the ends, and not a whole number: an integer key refuses it.
    return low, high, low + (high - low) / math.pi
