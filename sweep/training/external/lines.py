"""Lines of a program as events: JSON, or text that regular expressions find values in."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from sweep.training.external.events import Evaluation, Event, Step, event_of, parse_json
from sweep.training.external.process import LineFile

__all__ = ["LineSource", "Parser", "json_parser", "pattern_parser"]

Parser = Callable[[str], list[Event]]


class LineSource:
    """A file whose lines are events. A :class:`~sweep.training.external.trainer.Source`.

    Args:
        path: The file.
        parse: Makes events of a line.
    """

    def __init__(self, path: Path, parse: Parser) -> None:
        self._file = LineFile(path)
        self._parse = parse

    def read(self, *, rest: bool = False) -> list[Event]:
        """See :class:`~sweep.training.external.trainer.Source`."""
        return [event for line in self._file.read(rest=rest) for event in self._parse(line)]


def json_parser(first_epoch: int) -> Parser:
    """Reads lines of JSON: see :func:`sweep.training.external.events.event_of`.

    Args:
        first_epoch: The program's number of its first epoch.
    """

    def parse(line: str) -> list[Event]:
        event = event_of(parse_json(line), first_epoch) if line.startswith("{") else None
        return [] if event is None else [event]

    return parse


def pattern_parser(
    evaluation: re.Pattern[str], step: re.Pattern[str] | None, first_epoch: int
) -> Parser:
    """Reads text by the named groups of regular expressions.

    Args:
        evaluation: Its groups are metrics, ``epoch`` among them if there is one; those of the test
            set are ``test_<name>``.
        step: Its groups are ``epoch``, ``step``, ``total``, ``lr``, ``grad_norm``, ``raw_<term>``
            and ``weighted_<term>``; None for none.
        first_epoch: The program's number of its first epoch.
    """

    def parse(line: str) -> list[Event]:
        found: list[Event] = []
        if step is not None and (match := step.search(line)) is not None:
            found.append(_step(_values(match), first_epoch))
        if (match := evaluation.search(line)) is not None:
            found += _evaluations(_values(match), first_epoch)
        return found

    return parse


def _values(match: re.Match[str]) -> dict[str, float]:
    values = {}
    for name, text in match.groupdict().items():
        try:
            values[name] = float(text)
        except (TypeError, ValueError):  # a group that took no part, or found no number
            continue
    return values


def _evaluations(values: dict[str, float], first_epoch: int) -> list[Event]:
    epoch = _whole(values.pop("epoch", None), first_epoch)
    tests = {k.removeprefix("test_"): v for k, v in values.items() if k.startswith("test_")}
    valid = {k: v for k, v in values.items() if not k.startswith("test_")}
    found: list[Event] = [Evaluation(epoch, "valid", valid)] if valid else []
    return [*found, Evaluation(epoch, "test", tests)] if tests else found


def _step(values: dict[str, float], first_epoch: int) -> Step:
    raw, weighted = (
        {k.removeprefix(kind): v for k, v in values.items() if k.startswith(kind)}
        for kind in ("raw_", "weighted_")
    )
    return Step(
        epoch=_whole(values.get("epoch"), first_epoch),
        step=_whole(values.get("step"), 0),
        raw=raw,
        weighted=weighted,
        total=values.get("total"),
        lr=values.get("lr"),
        grad_norm=values.get("grad_norm"),
        time=values.get("time"),
    )


def _whole(value: float | None, first: int) -> int | None:
    return None if value is None or not math.isfinite(value) else int(value) - first
