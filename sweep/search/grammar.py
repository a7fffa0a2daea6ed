"""Hydra's override grammar as Optuna distributions, and back.

The grammar is that of Hydra's Optuna plugin: ``choice(a, b)``, ``range(1, 10)`` (both ends
included), ``interval(0.1, 10)``, and the tags ``log`` and ``int``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
)
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.errors import InputError, unknown

__all__ = ["describe", "grid", "literal", "parse_distribution"]


def parse_distribution(key: str, override: Override) -> BaseDistribution:
    """The distribution that an override of ``key`` describes.

    Raises:
        InputError: if there is none.
    """
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


def literal(value: Any) -> str:
    """A value as it stands in an override."""
    if isinstance(value, str):
        # In Hydra's quotes a backslash is itself, except those before a quote.
        return "'" + re.sub(r"(\\*)('|\Z)", _escape, value) + "'"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else repr(value)


def _escape(match: re.Match[str]) -> str:
    backslashes, quote = match.groups()
    return 2 * backslashes + ("\\'" if quote else "")


def grid(key: str, distribution: BaseDistribution) -> list[Any]:
    """All values of a key, for samplers that walk through a grid.

    Raises:
        InputError: if it has infinitely many.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None:
        raise InputError(
            f"hydra.sweeper.params['{key}']: {describe(distribution)} has no end of values; a grid "
            "needs choice(...) or range(low, high, step)"
        )
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    start, width = Decimal(str(low)), Decimal(str(step))  # 0.1 + 2 * 0.1 is 0.3 here
    count = math.floor((high - low) / step + 1e-8) + 1
    return [float(start + i * width) for i in range(count)]
