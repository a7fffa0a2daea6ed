"""What the trials of a study are judged by, as ``trial.json`` and ``study.json`` hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sweep.errors import InputError
from sweep.quantities import QUANTITIES, exponents_of

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """What the trials of a study are judged by.

    Attributes:
        metrics: Quantities that the score is the geometric mean of.
        statistic: ``rmse`` or ``mae``.
        epoch: ``best`` or ``last``: the epoch that a trial is judged by.
        minimize: ``score`` or quantities, whose validation errors are minimised.
        constraints: Quantity -> largest validation error that is allowed, as a multiple of that of
            the default weights.
        exponents: Quantity -> exponent in the geometric mean, where it is not 1.
    """

    metrics: tuple[str, ...]
    statistic: str = "rmse"
    epoch: str = "best"
    minimize: tuple[str, ...] = ("score",)
    constraints: Mapping[str, float] = field(default_factory=dict)
    exponents: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, content: Any) -> Objective | None:
        """The objective that a JSON file holds; None if it is not one.

        Unknown quantities among the constraints, of another version, are left out.
        """
        if not isinstance(content, Mapping) or content.get("statistic") not in ("rmse", "mae"):
            return None
        minimize: Any = content.get("minimize") or ["score"]
        if not (isinstance(minimize, list) and all(isinstance(name, str) for name in minimize)):
            return None
        try:
            powers = exponents_of(content.get("metrics"))
        except InputError:
            return None
        limits = content.get("constraints")
        constraints: Any = limits if isinstance(limits, Mapping) else {}
        return cls(
            metrics=tuple(powers),
            exponents=_not_one(powers),
            statistic=content["statistic"],
            epoch=str(content.get("epoch", "best")),
            minimize=tuple(minimize),
            constraints={
                name: float(factor)
                for name, factor in constraints.items()
                if name in QUANTITIES and isinstance(factor, int | float)
            },
        )

    @property
    def powers(self) -> dict[str, float]:
        """Quantity -> exponent of all quantities of the score."""
        return {name: self.exponents.get(name, 1.0) for name in self.metrics}

    def scored_by(self, powers: Mapping[str, float]) -> Objective:
        """The same with another score, which is what is minimised then.

        Args:
            powers: Quantity -> exponent in the geometric mean.
        """
        return replace(self, metrics=tuple(powers), exponents=_not_one(powers), minimize=("score",))

    def as_json(self) -> dict[str, Any]:
        """As a JSON file holds it."""
        return {
            "metrics": [
                {name: self.exponents[name]} if name in self.exponents else name
                for name in self.metrics
            ],
            "statistic": self.statistic,
            "epoch": self.epoch,
            "minimize": list(self.minimize),
            "constraints": dict(self.constraints),
        }


def _not_one(powers: Mapping[str, float]) -> dict[str, float]:
    return {name: power for name, power in powers.items() if power != 1}
