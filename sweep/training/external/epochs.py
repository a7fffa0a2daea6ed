"""Sorts what a program tells into epochs, whatever the order and however often it tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sweep.training.external.events import Balance, Evaluation, Event, Step

__all__ = ["Epoch", "Epochs", "Tests"]

Tests = dict[int | None, dict[str | None, dict[str, float]]]
"""Epoch -> name of the test set -> what was measured on it."""


@dataclass
class Epoch:
    """An epoch that was evaluated.

    Attributes:
        number: Its number, from 0.
        metrics: Its validation, under the program's own names.
        steps: The optimiser steps since the evaluation before, each with its epoch, in order.
        balances: What was measured of the gradients since then.
    """

    number: int
    metrics: dict[str, float]
    steps: list[tuple[int, Step]] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)


class Epochs:
    """Collects events; a step or an evaluation that is told again replaces the earlier one.

    Args:
        n_done: Number of the first epoch that is not recorded yet.
    """

    def __init__(self, n_done: int = 0) -> None:
        self.tests: Tests = {}
        self._next = n_done
        self._steps: dict[tuple[int, int], Step] = {}
        self._balances: dict[int, Balance] = {}
        self._told: dict[int, dict[str, float]] = {}  # evaluations that were not taken yet
        self._taken = Epoch(-1, {})

    def add(self, events: Iterable[Event]) -> None:
        """Take what was told."""
        for event in events:
            if isinstance(event, Step):
                self._add_step(event)
            elif isinstance(event, Balance):
                self._balances[event.epoch] = event
            elif event.split == "test":
                tests = self.tests.setdefault(event.epoch, {})
                tests.setdefault(event.name, {}).update(event.metrics)
            else:
                self._add_evaluation(event)

    def take(
        self, is_whole: Callable[[Mapping[str, float]], bool], *, ended: bool = False
    ) -> list[Epoch]:
        """The evaluated epochs that are new, or were told again with other values, in order.

        Args:
            is_whole: Whether an evaluation holds all that is needed; lines that tell more of it may
                follow until anything of a later epoch is told.
            ended: The program has ended: nothing follows.
        """
        found = []
        newest = max((epoch for epoch, _ in self._steps), default=-1)
        newest = max(newest, *self._told, -1) if self._told else newest
        for number, metrics in sorted(self._told.items()):
            if not (is_whole(metrics) or number < newest or ended):
                break
            del self._told[number]
            again = self._taken.number == number
            if again and self._taken.metrics == metrics:
                continue
            keys = sorted(key for key in self._steps if key[0] <= number)
            new = {key: self._steps.pop(key) for key in keys}
            measured = [n for n in sorted(self._balances) if n <= number]
            balances = [self._balances.pop(n) for n in measured]
            if again and not new:
                steps, balances = self._taken.steps, self._taken.balances
            else:
                steps = [(key[0], step) for key, step in new.items()]
            self._taken = Epoch(number, metrics, steps, balances)
            found.append(self._taken)
        return found

    def _add_step(self, step: Step) -> None:
        epoch = self._next if step.epoch is None else step.epoch
        number = step.step
        if number is None:
            number = 1 + max((n for e, n in self._steps if e == epoch), default=-1)
        self._steps[epoch, number] = step

    def _add_evaluation(self, event: Evaluation) -> None:
        epoch = event.epoch
        if epoch is None:
            epoch = self._next
        # Several lines may tell of one epoch, each a part of its metrics.
        taken = self._taken.metrics if self._taken.number == epoch else {}
        self._told[epoch] = {**taken, **self._told.get(epoch, {}), **event.metrics}
        self._next = max(self._next, epoch + 1)
