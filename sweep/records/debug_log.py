"""The debug log in MACE_SCF's format, so that scripts made for its logs read ours."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sweep.errors import DamagedRecordError
from sweep.files import make_folder, sync

__all__ = ["DebugLog", "breakdown_line", "epoch_line"]


class DebugLog:
    """A text file that grows by whole epochs.

    Args:
        path: ``logs/<fit_name>_debug.log``.
        size: Bytes that belong to finished epochs; what lies beyond is cut off.

    Raises:
        DamagedRecordError: if the file is shorter.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        self.path = path
        make_folder(path.parent)
        is_new = not path.exists()
        with path.open("ab") as file:
            if file.tell() < size:
                raise DamagedRecordError(f"{path}: {file.tell()} bytes; {size} were written")
            file.truncate(size)
        if is_new:
            sync(path.parent)

    def append(self, lines: Sequence[str]) -> int:
        """Add lines; returns the size of the file afterwards."""
        with self.path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size


def breakdown_line(when: float, names: Sequence[str], weighted: Sequence[float]) -> str:
    """The line of one optimiser step: every term's weighted value at full precision."""
    terms = "".join(f"{name}: {value!r}, " for name, value in zip(names, weighted, strict=True))
    return f"{_time(when)} DEBUG: loss breakdown: {terms}"


def epoch_line(
    when: float, epoch: int, loss: float | None, errors: Sequence[tuple[str, float, str]]
) -> str:
    """The line of one evaluation; ``errors`` are (name, value, unit), a loss may not be known."""
    parts = "".join(f", RMSE_{name}={value:8.2f} {unit}" for name, value, unit in errors)
    shown = math.nan if loss is None else loss
    return f"{_time(when)} INFO: Epoch {epoch}: loss={shown:8.4f}{parts}"


def _time(when: float) -> str:
    return datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
