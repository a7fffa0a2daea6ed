"""A folder of flat arrays by the hash of what they were made from. Imports no torch.

An entry is a folder of raw arrays with ``meta.json``, which says their types and shapes. It is
written under another name, put on disk and then renamed, so that an entry is whole or not there;
one that was damaged since (a file of another size) is made again. Processes that want the same
entry at once make it once: the others wait for the first. Readers map the arrays, so that all
workers of a study share one copy in the machine's page cache, which gives the memory back when it
is needed elsewhere. Nothing is ever deleted but what is damaged: remove the folder to start afresh.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError
from sweep.locks import locked

__all__ = ["Entry", "cached", "opened", "write_meta"]

Array = NDArray[Any]

FORMAT = 2
"""Part of every key: raise it when what the arrays hold changes."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A complete entry.

    Attributes:
        folder: where it is.
        arrays: by name, mapped from its files; writing to them changes no file.
        notes: what else was noted when it was made.
    """

    folder: Path
    arrays: Mapping[str, Array]
    notes: Mapping[str, Any]


def cached(
    folder: Path, kind: str, made_from: Mapping[str, Any], build: Callable[[Path], None]
) -> Entry:
    """The entry for what it is made from, built if it is not there.

    Args:
        folder: the cache, or an entry that this one belongs to.
        kind: first part of the entry's name.
        made_from: everything that decides what is in it.
        build: writes the arrays and ``meta.json`` (:func:`write_meta`) into a folder.

    Raises:
        InputError: the cache cannot be written, or whatever ``build`` raises.
    """
    text = json.dumps([FORMAT, made_from], sort_keys=True)
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    if (entry := opened(folder / name)) is not None:
        return entry
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{name}.lock"):
            # someone else may have made it meanwhile
            if (entry := opened(folder / name)) is None:
                _make(folder, name, build)
                entry = opened(folder / name)
    except OSError as error:
        raise InputError(
            f"cache_dir: {folder}: {error.strerror or error}; give another folder, or null to hold "
            "the data in memory"
        ) from error
    if entry is None:
        raise InputError(f"cache_dir: {folder / name}: changed while it was written")
    return entry


def write_meta(folder: Path, arrays: Mapping[str, Array], notes: Mapping[str, Any]) -> None:
    """Write ``meta.json``, which makes an entry of a folder.

    Args:
        folder: the folder that is built.
        arrays: only their types and shapes are read; the data are in ``<name>.bin``.
        notes: what else to keep.
    """
    described = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in arrays.items()
    }
    text = json.dumps({"arrays": described, "notes": dict(notes)}, indent=1, ensure_ascii=False)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")


def opened(folder: Path) -> Entry | None:
    """The entry in a folder, or None if it is not there or not whole."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {
            name: _map(folder / f"{name}.bin", np.dtype(str(spec["dtype"])), tuple(spec["shape"]))
            for name, spec in meta["arrays"].items()
        }
        return Entry(folder, arrays, meta["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(folder: Path, name: str, build: Callable[[Path], None]) -> None:
    for left in (folder / name, *folder.glob(f"{name}.tmp-*")):  # damaged, or of a killed process
        if left.exists():
            shutil.rmtree(left)
    temporary = folder / f"{name}.tmp-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        build(temporary)
        for file in temporary.iterdir():
            _to_disk(file)
        temporary.rename(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _to_disk(folder)


def _to_disk(path: Path) -> None:
    """A rename can reach the disk before the data do; a power cut would leave files of zeros."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _map(file: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if dtype.kind not in "biuf":  # of objects it would map pointers
        raise ValueError(f"{file}: not numbers")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if file.stat().st_size != size:
        raise ValueError(f"{file}: {file.stat().st_size} bytes instead of {size}")
    if size == 0:  # nothing to map
        return np.zeros(shape, dtype)
    # "c": torch takes writable arrays only; a page that is written becomes the process's own
    return np.asarray(np.memmap(file, dtype=dtype, mode="c", shape=shape))
