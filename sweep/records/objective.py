"""What the trials of a study are judged by, as ``trial.json`` and ``study.json`` hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.quantities import QUANTITIES

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
    """

    metrics: tuple[str, ...]
    statistic: str = "rmse"
    epoch: str = "best"
    minimize: tuple[str, ...] = ("score",)
    constraints: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, content: Any) -> Objective | None:
        """The objective that a JSON file holds; None if it is not one.

        Unknown quantities among the constraints, of another version, are left out.
        """
        if not isinstance(content, Mapping) or content.get("statistic") not in ("rmse", "mae"):
            return None
        metrics: Any = content.get("metrics")
        minimize: Any = content.get("minimize") or ["score"]
        for names in (metrics, minimize):
            if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
                return None
        limits = content.get("constraints")
        constraints: Any = limits if isinstance(limits, Mapping) else {}
        return cls(
            metrics=tuple(metrics or ()),
            statistic=content["statistic"],
            epoch=str(content.get("epoch", "best")),
            minimize=tuple(minimize),
            constraints={
                name: float(factor)
                for name, factor in constraints.items()
                if name in QUANTITIES and isinstance(factor, int | float)
            },
        )

    def as_json(self) -> dict[str, Any]:
        """As a JSON file holds it."""
        return {
            "metrics": list(self.metrics),
            "statistic": self.statistic,
            "epoch": self.epoch,
            "minimize": list(self.minimize),
            "constraints": dict(self.constraints),
        }
