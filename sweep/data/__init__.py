"""Labelled configurations: reading, checks, splits, graphs, batches and the shipped data sets.

Importing this package imports neither torch nor ASE. Reading, checking and the statistics are free
of torch; only ``build`` and ``graphs`` need it.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from sweep.errors import InputError

__all__ = ["shipped"]

_SHIPPED = Path(__file__).parent / "shipped"


def shipped(path: str) -> Path:
    """Path of a file that comes with the package, for example ``water_clusters/train.xyz``.

    Raises:
        InputError: there is no such file; the message lists those there are.
    """
    files = sorted(
        file.relative_to(_SHIPPED).as_posix() for file in _SHIPPED.glob("*/*") if file.is_file()
    )
    if path not in files:
        near = difflib.get_close_matches(path, files, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise InputError(f"no shipped data file '{path}'{hint}; there are: {', '.join(files)}")
    return _SHIPPED / path
