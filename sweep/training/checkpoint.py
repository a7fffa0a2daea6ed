"""Checkpoints: written at once, read without running code from the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sweep.errors import DamagedRecordError
from sweep.files import replacing

__all__ = ["load", "restoring", "save"]


def save(path: Path, content: dict[str, Any], *, check: Callable[[], None] = lambda: None) -> None:
    """Write tensors and plain values; a reader sees the old file or the new one.

    Args:
        path: The file.
        content: What to write.
        check: See :func:`sweep.files.replacing`.
    """
    # By way of memory: of a full disk torch.save itself makes a RuntimeError that names no cause.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path, check=check) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, None if there is none.

    Raises:
        DamagedRecordError: if the file is damaged.
    """
    if not path.exists():
        return None
    file = io.BytesIO(path.read_bytes())  # a disk that cannot be read is no damaged file
    with restoring(path):
        # Named explicitly: importing mace sets an environment variable that changes the default.
        content = torch.load(file, map_location=device, weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(f"holds a {type(content).__name__}, expected a mapping")
    return content


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """A block that puts the content of a file into place: whatever it raises is the file's damage.

    Torch, pickle and the optimisers raise exceptions of any kind at what they did not write.

    Args:
        path: The file.

    Raises:
        DamagedRecordError: in place of what was raised; not if the memory of a GPU is full.
    """
    try:
        yield
    except (DamagedRecordError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, KeyError):
            reason = f"lacks {reason}"
        raise DamagedRecordError(f"{path}: damaged ({reason})") from error
