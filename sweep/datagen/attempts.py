"""What the generators share: the order of a data set, and trying until a geometry is acceptable."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from sweep.datagen.xtb import NoResultError
from sweep.errors import SweepError

__all__ = ["MAX_ATTEMPTS", "first_made", "mixed"]

MAX_ATTEMPTS = 50

T = TypeVar("T")


def mixed(n: int) -> list[int]:
    """The numbers from 0 to n - 1 in an order that is always the same: a head has most kinds."""
    order: list[int] = np.random.default_rng(0).permutation(n).tolist()
    return order


def first_made(
    attempt: Callable[[np.random.Generator], T | None], *, index: int, what: str, seed: int
) -> T:
    """The first acceptable result, with random numbers of the configuration's own.

    Args:
        attempt: Makes one; None if it is not acceptable.
        index: Number of the configuration.
        what: Its kind, for messages.
        seed: Of the data set.

    Raises:
        SweepError: if there is none in 50 attempts.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    for _ in range(MAX_ATTEMPTS):
        with contextlib.suppress(NoResultError):  # as good as any other reason to try again
            made = attempt(rng)
            if made is not None:
                return made
    raise SweepError(
        f"configuration {index} ({what}) with seed {seed}: no acceptable geometry in "
        f"{MAX_ATTEMPTS} attempts"
    )
