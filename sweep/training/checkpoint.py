"""Checkpoints: written at once, read without running code from the file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from sweep.errors import TrainingError
from sweep.recording.files import replacing

__all__ = ["load", "save"]


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values; a reader sees the old file or the new one."""
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, None if there is none.

    Raises:
        TrainingError: if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        # Named explicitly: importing mace sets an environment variable that changes the default.
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{path}: damaged checkpoint ({str(error).splitlines()[0]}); delete the folder "
            f"{path.parent} to train this trial again"
        ) from error
    return content
