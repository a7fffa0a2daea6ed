"""Cells of configurations. Imports no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["has_volume"]


def has_volume(cell: NDArray[np.float64]) -> bool:
    """Whether the rows of ``[3, 3]`` are the three vectors of a cell: none zero, not in a plane."""
    lengths = np.linalg.norm(cell, axis=1)
    return bool(abs(np.linalg.det(cell)) > 1e-6 * lengths.prod())
