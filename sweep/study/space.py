"""The search space: Hydra's override grammar to Optuna distributions.

The grammar is that of Hydra's Optuna plugin: ``choice(a, b)``, ``range(1, 10)`` (both ends
included), ``interval(0.1, 10)``, and the tags ``log`` and ``int``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.checks import check_config
from sweep.errors import InputError, unknown

__all__ = ["SearchSpace"]


# Parts of the configuration that all trials of a study share, and why.
_FIXED = {
    "heads": "all trials of a study have the same data",
    "objective": "all trials of a study are judged alike",
    "search": "it describes the study, not a trial",
}


@dataclass(frozen=True)
class SearchSpace:
    """What a study searches.

    Attributes:
        distributions: For every searched config key its Optuna distribution.
        fixed: Overrides that hold for all trials.
    """

    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, params: Mapping[str, Any], arguments: Sequence[str]) -> SearchSpace:
        """Read ``hydra.sweeper.params`` and the command line, which takes precedence.

        Raises:
            InputError: if a sweep is not valid, or nothing is searched.
        """
        parser = OverridesParser.create()
        texts = [f"{key}={value}" for key, value in params.items()]
        entries: dict[str, Override] = {}
        for text in [*texts, *arguments]:
            try:
                override = parser.parse_override(text)
            except HydraException as error:
                raise InputError(
                    f"hydra.sweeper.params: cannot read '{text}': {' '.join(str(error).split())}"
                ) from error
            entries[override.key_or_group] = override
        distributions = {
            key: _distribution(key, override)
            for key, override in entries.items()
            if override.is_sweep_override()
        }
        if not distributions:
            raise InputError(
                "hydra.sweeper.params: the search space is empty; name at least one key there or "
                "on the command line, for example 'loss.forces.weight=tag(log, interval(1, 1000))'"
            )
        fixed = [
            str(override.input_line)
            for override in entries.values()
            if not override.is_sweep_override()
        ]
        return cls(distributions, fixed)

    def defaults(self, cfg: DictConfig) -> dict[str, Any]:
        """The configured values of the searched keys: the parameters of trial 0.

        Raises:
            InputError: if a key names nothing in the configuration, or its configured value lies
                outside its range.
        """
        return {key: self._default(key, cfg) for key in self.distributions}

    def _default(self, key: str, cfg: DictConfig) -> Any:
        if reason := _FIXED.get(key.partition(".")[0]):
            raise InputError(f"hydra.sweeper.params['{key}']: cannot be searched: {reason}")
        node: Any = cfg
        walked: list[str] = []
        for part in key.split("."):
            options = {str(option): option for option in node} if _is_dict(node) else {}
            if part not in options:
                where = f"hydra.sweeper.params['{key}']"
                inside = f"key in '{'.'.join(walked)}'" if walked else "key"
                raise InputError(unknown(inside, part, options, where=where))
            node = node[options[part]]
            walked.append(part)
        distribution = self.distributions[key]
        if not isinstance(node, str | int | float | bool | None):
            raise InputError(f"hydra.sweeper.params['{key}']: names a group of keys, not a value")
        if not _contains(distribution, node):
            raise InputError(
                f"hydra.sweeper.params['{key}']: the configured value {node}, which trial 0 "
                f"trains, is not in the search space {describe(distribution)}"
            )
        return node

    def check(self, cfg: DictConfig) -> None:
        """Check the configuration at the ends and inside of every range, and at every choice.

        Raises:
            InputError: if the configuration is not valid there.
        """
        for key, distribution in self.distributions.items():
            for value in _samples(distribution):
                trial = cfg.copy()
                try:
                    OmegaConf.update(trial, key, value)
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

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The Hydra overrides of one trial."""
        return [*self.fixed, *(f"{key}={_literal(value)}" for key, value in params.items())]

    def describe(self) -> dict[str, str]:
        """The space as text, for records and comparisons."""
        return {key: describe(dist) for key, dist in sorted(self.distributions.items())}


def describe(distribution: BaseDistribution) -> str:
    """A distribution in the grammar of the configuration."""
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({', '.join(map(str, distribution.choices))})"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    tags = ["log"] * distribution.log + ["int"] * isinstance(distribution, IntDistribution)
    step = distribution.step if distribution.step not in (None, 1) else None
    text = f"interval({distribution.low}, {distribution.high})"
    if step is not None:
        text = f"range({distribution.low}, {distribution.high}, {step})"
    return f"tag({', '.join(tags)}, {text})" if tags else text


def _is_dict(node: Any) -> bool:
    return bool(OmegaConf.is_dict(node))


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and distribution._contains(float(value))


def _samples(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution) or distribution.step is not None:
        return low, high
    # Between the ends, and not a whole number: an integer key refuses it.
    return low, high, low + (high - low) / math.pi


def _literal(value: Any) -> str:
    if isinstance(value, str):
        # In Hydra's quotes a backslash is itself, except those before a quote.
        return "'" + re.sub(r"(\\*)('|\Z)", _escape, value) + "'"
    return "null" if value is None else repr(value)


def _escape(match: re.Match[str]) -> str:
    backslashes, quote = match.groups()
    return 2 * backslashes + ("\\'" if quote else "")


def _distribution(key: str, override: Override) -> BaseDistribution:
    value = override.value()
    where = f"hydra.sweeper.params['{key}']"
    if isinstance(value, ChoiceSweep):
        choices = [c.text if isinstance(c, QuotedString) else c for c in value.list]
        if not all(isinstance(choice, str | int | float | bool | None) for choice in choices):
            raise InputError(f"{where}: choices must be plain values; got {choices}")
        return CategoricalDistribution(cast("list[str | int | float | bool | None]", choices))
    if isinstance(value, RangeSweep):
        low, high, step = value.start, value.stop, value.step
    elif isinstance(value, IntervalSweep):
        low, high, step = value.start, value.end, None
    else:
        raise InputError(f"{where}: use choice, range or interval; got {override.input_line}")
    assert low is not None
    assert high is not None
    log = "log" in value.tags
    integer = "int" in value.tags or all(
        isinstance(number, int) for number in (low, high, 1 if step is None else step)
    )
    unknown_tags = sorted(set(value.tags) - {"log", "int"})
    if unknown_tags:
        raise InputError(unknown("tag", unknown_tags[0], ["log", "int"], where=where))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{where}: the lower end must be below the upper; got {low} and {high}")
    if log and low <= 0:
        raise InputError(f"{where}: a log range must begin above 0; got {low}")
    if step is not None and not step > 0:
        raise InputError(f"{where}: the step must be above 0; got {step}")
    if integer and (low % 1 or high % 1 or (step or 1) % 1):
        raise InputError(f"{where}: an int range has whole numbers; got {override.input_line}")
    if log and step is not None:
        if step != 1:  # Hydra fills in 1 where none is given
            raise InputError(f"{where}: a log range has no step; got {step}")
        step = None
    if integer:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=log, step=step)
