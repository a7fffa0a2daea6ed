"""Curves of any length in bounded memory: bins of steps that merge in pairs as the run goes on.

Needs only numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sweep.errors import InputError

__all__ = ["MAX_TERMS", "Curves", "Term"]

MAX_TERMS = 64
"""More names than any loss has: such a file holds something else."""

_CAPACITY = 16384  # bins; a picture is some 1,500 pixels wide
_LOG, _COUNT, _LOW, _HIGH, _NONFINITE, _ZERO = range(6)
_EMPTY = np.array([0.0, 0.0, np.inf, -np.inf, 0.0, 0.0])


@dataclass(frozen=True)
class Term:
    """One term over the bins of a run; every array has shape [n_bins].

    Attributes:
        steps: Middle of each bin, in training batches.
        mean: Geometric mean of the values above zero that are finite, NaN where there are none.
            On a logarithmic axis it lies amid them, and a single spike does not lift it.
        low: Smallest of them.
        high: Largest of them.
        nonfinite: Number of NaN and infinite values.
        zero: Number of values that are zero or negative, which a logarithmic axis cannot show.
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    nonfinite: np.ndarray
    zero: np.ndarray

    def smoothed(self, window: int, breaks: Sequence[int]) -> np.ndarray:
        """Running geometric mean over ``window`` bins, shape [n_bins]; none crosses a break.

        Args:
            window: Number of bins, at least 1.
            breaks: Steps at which the loss changes, as the first of a stage.
        """
        result = np.full(len(self.steps), np.nan)
        edges = [0, *np.searchsorted(self.steps, breaks).tolist(), len(self.steps)]
        for start, stop in pairwise(edges):
            part = np.log(self.mean[start:stop])
            there = np.isfinite(part)
            if not there.any():
                continue
            half = window // 2
            sums = np.concatenate([[0.0], np.cumsum(np.where(there, part, 0.0))])
            counts = np.concatenate([[0], np.cumsum(there)])
            middle = np.arange(stop - start)
            lower = np.maximum(middle - half, 0)
            upper = np.minimum(middle + half + 1, stop - start)
            n = counts[upper] - counts[lower]
            with np.errstate(invalid="ignore", divide="ignore"):
                smooth = (sums[upper] - sums[lower]) / n
            result[start:stop] = np.where(there, np.exp(smooth), np.nan)
        return result


class Curves:
    """Weighted values of all terms, fed in order of the steps.

    As long as there are at most 16,384 steps, every bin holds one step and nothing is lost.
    """

    def __init__(self) -> None:
        self.bin_width = 1  # steps
        self._index: dict[str, int] = {}
        self._bins = np.empty((_CAPACITY, 0, 6))
        self._first: int | None = None
        self._last = -1

    @property
    def names(self) -> list[str]:
        """The terms, in the order in which they first appeared."""
        return list(self._index)

    @property
    def first_step(self) -> int:
        """The first step that was added."""
        return self._first or 0

    @property
    def last_step(self) -> int:
        """The last step that was added, -1 if there is none."""
        return self._last

    def add(self, names: Sequence[str], first_step: int, values: np.ndarray) -> None:
        """Add consecutive steps.

        Args:
            names: The terms.
            first_step: Number of the first of these steps; not before those added already.
            values: Their weighted values, shape [n_steps, n_terms].

        Raises:
            InputError: if there are more than :data:`MAX_TERMS` terms.
        """
        if len(values) == 0:
            return
        columns = [self._column(name) for name in names]
        if self._first is None:
            self._first = first_step
        steps = np.arange(first_step, first_step + len(values)) - self._first
        while steps[-1] // self.bin_width >= _CAPACITY:
            self._merge()
        bins = steps // self.bin_width
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        rows = bins[starts]
        finite = np.isfinite(values)
        shown = finite & (values > 0)
        logs = np.log(np.where(shown, values, 1.0))
        for kind, part in (
            (_LOG, np.add.reduceat(logs, starts, axis=0)),
            (_COUNT, np.add.reduceat(shown, starts, axis=0, dtype=float)),
            (_NONFINITE, np.add.reduceat(~finite, starts, axis=0, dtype=float)),
            (_ZERO, np.add.reduceat(finite & (values <= 0), starts, axis=0, dtype=float)),
        ):
            self._bins[rows[:, None], columns, kind] += part
        low = np.minimum.reduceat(np.where(shown, values, np.inf), starts, axis=0)
        high = np.maximum.reduceat(np.where(shown, values, -np.inf), starts, axis=0)
        where = rows[:, None], columns
        self._bins[(*where, _LOW)] = np.minimum(self._bins[(*where, _LOW)], low)
        self._bins[(*where, _HIGH)] = np.maximum(self._bins[(*where, _HIGH)], high)
        self._last = first_step + len(values) - 1

    def term(self, name: str) -> Term:
        """The curve of one term, over the bins in which it appears."""
        bins = self._bins[:, self._index[name]]
        used = np.flatnonzero(bins[:, (_COUNT, _NONFINITE, _ZERO)].any(axis=1))
        bins = bins[used]
        empty = bins[:, _COUNT] == 0
        count = np.where(empty, 1.0, bins[:, _COUNT])
        mean = np.where(count == 1, bins[:, _LOW], np.exp(bins[:, _LOG] / count))
        mean[empty] = np.nan
        middle = used * self.bin_width + (self.bin_width - 1) / 2
        return Term(
            steps=np.minimum(self.first_step + middle, self._last),
            mean=mean,
            low=np.where(empty, np.nan, bins[:, _LOW]),
            high=np.where(empty, np.nan, bins[:, _HIGH]),
            nonfinite=bins[:, _NONFINITE],
            zero=bins[:, _ZERO],
        )

    def _column(self, name: str) -> int:
        if name not in self._index:
            if len(self._index) == MAX_TERMS:
                raise InputError(f"more than {MAX_TERMS} terms, which is no loss")
            self._index[name] = len(self._index)
            self._bins = np.concatenate(
                [self._bins, np.broadcast_to(_EMPTY, (_CAPACITY, 1, 6))], axis=1
            )
        return self._index[name]

    def _merge(self) -> None:
        """Join the bins in pairs."""
        odd, even = self._bins[1::2], self._bins[0::2]
        merged = even + odd
        merged[..., _LOW] = np.minimum(even[..., _LOW], odd[..., _LOW])
        merged[..., _HIGH] = np.maximum(even[..., _HIGH], odd[..., _HIGH])
        empty = np.broadcast_to(_EMPTY, merged.shape)
        self._bins = np.concatenate([merged, empty])
        self.bin_width *= 2
