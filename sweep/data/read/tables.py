"""Data files as tables: small ones in memory, large ones mapped from the cache. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.data.cache import cached, write_meta
from sweep.data.labels import LABELS, Label
from sweep.data.parallel import Report, in_processes, join, save_part
from sweep.data.read.configurations import read_chunk, read_configurations
from sweep.data.read.formats import Chunk, chunks, content_digest, located, size_of
from sweep.data.read.mapping import Keys, check_keys, check_mapping
from sweep.data.table import Columns, Table, flatten, tabulate
from sweep.errors import InputError

__all__ = ["read_table"]

LARGE = 8 * 2**20
"""Bytes of a file from which on it goes through the cache: some thousand configurations, which take
seconds to read."""


def read_table(
    file: str | Path,
    info_keys: Mapping[str, str],
    arrays_keys: Mapping[str, str],
    *,
    cache_dir: str | Path | None,
    report: Report,
    required: bool = True,
) -> Table:
    """Read and check a data file, see :func:`sweep.data.read.configurations.read_configurations`.

    Args:
        file: path of a file or folder, see :mod:`sweep.data.read.formats`.
        info_keys: label name -> key of a configuration.
        arrays_keys: label name -> key with a row per atom.
        cache_dir: where large files are kept as arrays; None to hold them in memory.
        report: is told how far it is.
        required: whether some configuration must have each label.

    Raises:
        InputError: the mapping or the file is not valid, or the cache cannot be written.
    """
    mapping = check_mapping(info_keys, arrays_keys)
    file = located(file)
    if cache_dir is None or size_of(file) < LARGE:
        return tabulate(read_configurations(file, info_keys, arrays_keys, required=required))
    path = str(file)

    def build(folder: Path) -> None:
        _build(path, mapping, folder, report, required=required)

    entry = cached(
        Path(cache_dir),
        "data",
        {"content": content_digest(file), "mapping": {k.name: v for k, v in mapping.items()}},
        build,
    )
    if required:  # it may have been made for another split
        check_keys(mapping, frozenset((str(a), str(b)) for a, b in entry.notes["keys"]), path)
    # the content is known, the place is where it was found this time
    files = tuple(path + suffix for suffix in entry.notes["files"])
    return Table(Columns(entry.arrays, files, tuple(entry.notes["config_types"]), entry.folder))


def _build(
    path: str, mapping: Mapping[Label, str], folder: Path, report: Report, *, required: bool
) -> None:
    """Read all parts of a file in several processes and join them to columns."""
    parts: list[_Part] = []
    done = 0

    def tasks() -> Iterator[_Task]:
        for number, chunk in enumerate(chunks(path)):
            yield _Task(chunk, dict(mapping), folder / f"part{number}.npz")

    for part in in_processes(_read_part, tasks()):
        done += part.size
        report(f"reading {path}", done, None)
        parts.append(part)
    if not parts:
        raise InputError(f"{path}: holds no configuration")
    keys: Keys = frozenset().union(*(part.keys for part in parts))
    if required:
        check_keys(mapping, keys, path)
    tails = {
        name: tuple(max(sizes) for sizes in zip(*(part.tails[name] for part in parts), strict=True))
        for name in parts[0].tails
    }
    files = list(dict.fromkeys(name for part in parts for name in part.files))
    types = list(dict.fromkeys(name for part in parts for name in part.config_types))
    renumber = {
        "file_number": [np.array([files.index(name) for name in part.files]) for part in parts],
        "config_type": [np.array([types.index(n) for n in part.config_types]) for part in parts],
    }
    arrays = join([part.path for part in parts], tails, folder, renumber)
    notes = {
        "files": [name.removeprefix(path) for name in files],
        "config_types": types,
        "keys": sorted(keys),
    }
    write_meta(folder, arrays, notes)


@dataclass(frozen=True)
class _Task:
    chunk: Chunk
    mapping: dict[Label, str]
    path: Path


@dataclass(frozen=True)
class _Part:
    """What is known of a part that was written to ``path``."""

    path: Path
    size: int
    keys: Keys
    tails: dict[str, tuple[int, ...]]
    files: tuple[str, ...]
    config_types: tuple[str, ...]


def _read_part(task: _Task) -> _Part:
    configurations, keys = read_chunk(task.chunk, task.mapping)
    mapped = {label.key for label in task.mapping}
    columns = flatten(configurations, [key for key in LABELS if key in mapped])
    return _Part(
        path=task.path,
        size=len(configurations),
        keys=keys,
        tails=save_part(task.path, columns.arrays),
        files=columns.files,
        config_types=columns.config_types,
    )
