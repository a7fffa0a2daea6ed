"""What parameters, metrics and splits are called in tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweep.quantities import quantity
from sweep.records import Trial
from sweep.records.frame import multipoles_max_l

__all__ = ["SPLITS", "Metric", "metric_of", "short_names", "titles_of", "weight_term"]

SPLITS = {"valid": "validation", "test": "test"}

_WEIGHT = re.compile(
    r"(?:train_schedule\.(?P<stage>[^.]+)\.)?loss\.(?P<term>[^.]+)(?P<weight>\.weight)?"
)
_OF_STAGE = re.compile(r"train_schedule\.(?P<stage>[^.]+)\.(?P<rest>.+)")


@dataclass(frozen=True)
class Metric:
    """A number that trials are compared by.

    Attributes:
        key: ``score`` or the name of a quantity.
        title: Its name.
        unit: The unit in which it is shown, empty for the score.
        factor: What the stored number is multiplied by to be shown.
    """

    key: str
    title: str
    unit: str
    factor: float

    @property
    def with_unit(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def metric_of(key: str, trials: Iterable[Trial] = ()) -> Metric:
    """The metric of a key.

    Args:
        key: ``score`` or the name of a quantity.
        trials: Whose errors are shown, where the unit is: multipoles that are charges only have
            another one.
    """
    if key == "score":
        return Metric("score", "score", "", 1.0)
    found = quantity(key, multipoles_max_l(trials))
    return Metric(key, found.title, found.display_unit, found.display_factor)


def titles_of(powers: Mapping[str, float]) -> list[str]:
    """The quantities of a score by their titles, with the exponents that are not 1."""
    return [
        quantity(name).title + ("" if power == 1 else f" (exponent {power:g})")
        for name, power in powers.items()
    ]


def weight_term(key: str) -> tuple[str, str | None] | None:
    """Term and stage (None: every stage) of a searched key, None if it is not a weight."""
    match = _WEIGHT.fullmatch(key)
    if match is None or (match["stage"] is None and match["weight"] is None):
        return None
    return match["term"], match["stage"]


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """A short, unique name of every searched key: ``esps``, ``esps, stage 1``, ``lr, stage 0``."""
    keys = list(keys)
    names = {key: _short(key) for key in keys}
    counts = list(names.values())
    return {key: name if counts.count(name) == 1 else key for key, name in names.items()}


def _short(key: str) -> str:
    weight = weight_term(key)
    if weight is not None:
        term, stage = weight
        return term if stage is None else f"{term}, stage {stage}"
    match = _OF_STAGE.fullmatch(key)
    if match is not None:
        return f"{match['rest'].removeprefix('loss.')}, stage {match['stage']}"
    return key.removeprefix("loss.")
