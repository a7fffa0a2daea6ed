"""What MACE_SCF writes while it trains, as events: its lines of JSON and its debug log.

``results/<name>_run-<seed>_train.txt`` has a line for every optimiser step and, each twice, for
every evaluation. ``logs/<name>_run-<seed>_debug.log`` has a line ``loss breakdown: term: value, …``
with weighted values for every call of the loss: of training and validation batches alike. The line
of a training batch is the one whose sum is the loss of the step.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sweep.training.external.events import Evaluation, Event, Step, parse_json
from sweep.training.external.process import LineFile

__all__ = ["MaceScfLog"]

_MARK = "loss breakdown:"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+")
# The log may have fewer digits than the step's loss: the nearest of those before it is taken.
_CLOSE, _NEAR = 1e-5, 1e-2
_MOST = 100_000  # breakdowns without a step, as of a long validation


class MaceScfLog:
    """Follows both files. A :class:`~sweep.training.external.trainer.Source`.

    Args:
        results: The lines of JSON.
        log: The debug log.
    """

    def __init__(self, results: Path, log: Path) -> None:
        self._results = LineFile(results)
        self._log = LineFile(log)
        self._breakdowns: deque[tuple[float | None, dict[str, float]]] = deque(maxlen=_MOST)

    def read(self, *, rest: bool = False) -> list[Event]:
        """See :class:`~sweep.training.external.trainer.Source`."""
        # In this order: the breakdown of a step is written before the step.
        results = self._results.read(rest=rest)
        for line in self._log.read(rest=rest):
            if (found := _breakdown(line)) is not None:
                self._breakdowns.append(found)
        events = [self._event(parse_json(line)) for line in results]
        return [event for event in events if event is not None]

    def _event(self, content: Any) -> Event | None:
        if not isinstance(content, Mapping) or not isinstance(content.get("epoch"), int):
            return None  # before the training, the epoch is null
        epoch, mode = content["epoch"], content.get("mode")
        numbers = {
            str(key): float(value)
            for key, value in content.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        if mode == "opt":
            return self._step(epoch, content, numbers)
        split = {"eval": "valid", "eval_test": "test"}.get(str(mode))
        if split is None:
            return None
        metrics = {k: v for k, v in numbers.items() if k.startswith(("loss", "rmse_", "mae_"))}
        name = content.get("test_name") if split == "test" else None
        return Evaluation(epoch, split, metrics, None if name is None else str(name))

    def _step(
        self, epoch: int, content: Mapping[str, Any], numbers: Mapping[str, float]
    ) -> Step | None:
        step, loss = content.get("opt_step"), numbers.get("loss")
        time, terms = (None, {}) if loss is None else self._take(loss)
        norm = numbers.get("grad_norm_before_clip")
        return Step(
            epoch=epoch,
            step=step if isinstance(step, int) else None,
            weighted=terms,
            total=loss,
            grad_norm=norm,
            time=time,
        )

    def _take(self, loss: float) -> tuple[float | None, dict[str, float]]:
        """The breakdown of a step; those before it are of validation batches."""
        sums = [sum(terms.values()) for _, terms in self._breakdowns]
        for tolerance in (_CLOSE, _NEAR):
            for place, total in enumerate(sums):
                if _equal(total, loss, tolerance):
                    for _ in range(place):
                        self._breakdowns.popleft()
                    return self._breakdowns.popleft()
        return None, {}


def _equal(total: float, loss: float, tolerance: float) -> bool:
    if not (math.isfinite(total) and math.isfinite(loss)):
        return math.isfinite(total) == math.isfinite(loss)
    return math.isclose(total, loss, rel_tol=tolerance, abs_tol=1e-12)


def _breakdown(line: str) -> tuple[float | None, dict[str, float]] | None:
    """Time and weighted values of a line of the log; None if it is another."""
    _, mark, text = line.partition(_MARK)
    if not mark:
        return None
    terms = {}
    for part in text.split(","):
        name, colon, value = part.partition(":")
        if colon:
            try:
                terms[name.strip()] = float(value)
            except ValueError:
                return None
    if not terms:
        return None
    match = _TIME.match(line)
    return (None if match is None else datetime.fromisoformat(match[0]).timestamp()), terms
