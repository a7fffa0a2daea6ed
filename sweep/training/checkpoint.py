"""Checkpoints: written at once, read without running code from the file."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from sweep.errors import DamagedRecordError
from sweep.files import replacing

__all__ = ["load", "save"]


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values; a reader sees the old file or the new one."""
    # By way of memory: of a full disk torch.save itself makes a RuntimeError that names no cause.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, None if there is none.

    Raises:
        DamagedRecordError: if the file is damaged.
    """
    if not path.exists():
        return None
    file = io.BytesIO(path.read_bytes())  # a disk that cannot be read is no damaged file
    try:
        # Named explicitly: importing mace sets an environment variable that changes the default.
        content: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DamagedRecordError(f"{path}: damaged ({str(error).splitlines()[0]})") from error
    return content
