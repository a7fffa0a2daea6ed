"""What another program measured, as our metrics, and the score of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sweep.errors import TrainingError
from sweep.training.score import score

__all__ = ["Judge", "Measured"]

# Columns of the table of evaluations that are no metrics.
_TAKEN = ("step", "epoch", "stage", "split", "clipped")


@dataclass(frozen=True)
class Measured:
    """Where one of our metrics comes from.

    Attributes:
        key: The program's name of it.
        factor: One of the program's units in ours.
    """

    key: str
    factor: float = 1.0


@dataclass(frozen=True)
class Judge:
    """Makes metrics and score of what a program measured.

    Attributes:
        names: Our metrics that the program calls otherwise: ``rmse_forces`` -> where it is from.
        scales: What the error of a quantity is divided by in the score; 1 where there is none,
            which changes the score by a factor and no order.
        powers: The quantities of the score and their exponents in it.
        statistic: ``rmse`` or ``mae``.
        takes_last: Whether the last epoch counts instead of the best.
    """

    names: Mapping[str, Measured] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    powers: Mapping[str, float] = field(default_factory=dict)
    statistic: str = "rmse"
    takes_last: bool = False

    def is_whole(self, told: Mapping[str, float]) -> bool:
        """Whether a validation holds what the score is made of."""
        found = self._named(told)
        return "score" in found or all(name in found for name in self._needed)

    def metrics(self, epoch: int, told: Mapping[str, float]) -> dict[str, float]:
        """Our metrics of a validation, the score among them.

        Raises:
            TrainingError: if what the score is made of is missing or not finite.
        """
        found = self._named(told)
        if "score" not in found:
            missing = [name for name in self._needed if name not in found]
            if missing:
                sources = [self.names.get(name, Measured(name)).key for name in missing]
                raise TrainingError(
                    f"epoch {epoch}: the program told no {', '.join(sources)}, which the objective "
                    f"needs; it told {', '.join(sorted(told)) or 'nothing'}"
                )
            found["score"] = self._score(found)
        if not math.isfinite(found["score"]):
            bad = ", ".join(f"{k} {v}" for k, v in found.items() if not math.isfinite(v))
            raise TrainingError(f"epoch {epoch}: the validation error is not finite: {bad}")
        return {key: value for key, value in found.items() if math.isfinite(value)}

    def test_metrics(self, told: Mapping[str, float]) -> dict[str, float]:
        """Our metrics of the test set, with the score if all that it needs was measured."""
        found = {k: v for k, v in self._named(told).items() if math.isfinite(v)}
        if "score" not in found and all(name in found for name in self._needed):
            found["score"] = self._score(found)
        return found

    @property
    def _needed(self) -> list[str]:
        return [f"{self.statistic}_{name}" for name in self.powers]

    def _score(self, metrics: Mapping[str, float]) -> float:
        scales = {name: self.scales.get(name, 1.0) for name in self.powers}
        return score(metrics, scales, self.powers, self.statistic)

    def _named(self, told: Mapping[str, float]) -> dict[str, float]:
        used = {source.key for source in self.names.values()}
        found = {key: value for key, value in told.items() if key not in {*used, *_TAKEN}}
        for name, source in self.names.items():
            if source.key in told:
                found[name] = told[source.key] * source.factor
        return found
