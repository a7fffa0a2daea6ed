"""Writing files whole: a reader sees the old or the new one, also after a kill or a power loss."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "end_digest", "make_folder", "read_json", "replacing", "sync", "write_json", "write_text",
]  # fmt: skip

_SUFFIX = ".tmp"
_END_BYTES = 65536
_LEFT_SECONDS = 3600.0  # longer than any file takes to be written


@contextmanager
def replacing(path: Path, *, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when the block ends well.

    Both the content and the new name are on the disk then: what a database is told afterwards must
    not outlive what it tells of. Several processes may write the same file; the last one stays.

    Args:
        path: The file.
        check: Called right before the new file takes the place of the old one, which stays if it
            raises: writing may have taken long enough for someone else to be in charge by now.
    """
    make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}")
    try:
        yield temporary
        sync(temporary)
        check()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    _remove_left(path)


def _remove_left(path: Path) -> None:
    """Remove what killed writers of a file left; by the file system's clock, not by this node's."""
    names = [name for name in os.listdir(path.parent) if name.endswith(_SUFFIX)]
    for left in (path.with_name(name) for name in names if name.startswith(f"{path.name}.")):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and those around it that are missing; their names are on the disk then."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str, *, check: Callable[[], None] = lambda: None) -> None:
    """Write a text file at once; see :func:`replacing`."""
    with replacing(path, check=check) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(
    path: Path, content: Mapping[str, Any], *, check: Callable[[], None] = lambda: None
) -> None:
    """Write a JSON file at once; a number that is not finite becomes null."""
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n"
    write_text(path, text, check=check)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file, or an empty mapping if there is none yet.

    Raises:
        ValueError: if it holds anything but a mapping.
    """
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected a mapping")
    return content


def end_digest(path: Path) -> str | None:
    """Tells apart the versions of a zip file, as torch writes them, without reading all of it.

    A zip file ends with the checksums of all that is in it.

    Returns:
        Size, and SHA-256 of the last 64 KiB; None if there is no such file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_BYTES))
            return f"{size} {hashlib.sha256(file.read()).hexdigest()[:16]}"
    except FileNotFoundError:
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
