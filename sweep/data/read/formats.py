"""The formats of data files, and files cut into parts that processes can share. Imports no torch.

A path is an extxyz file unless its name says otherwise: ``.traj`` and ``.db`` files of ASE; ``.h5``
and ``.hdf5`` files and folders of them, as ``mace_prepare_data`` writes them; ``.lmdb`` and
``.aselmdb`` files and folders of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sweep.data.read.extxyz import Frame, FrameText, frame_texts, parse_frame
from sweep.errors import InputError

__all__ = ["Chunk", "chunks", "content_digest", "files_of", "located", "size_of"]

_HDF5 = (".h5", ".hdf5")
_LMDB = (".lmdb", ".aselmdb")
_ASE = (".traj", ".db")
CHUNK = 256  # configurations


class Chunk(Protocol):
    """Consecutive configurations of a file; it travels to another process by pickle."""

    @property
    def file(self) -> str:
        """The file that they are in."""

    @property
    def own_names(self) -> bool:
        """Whether labels can have the names that MACE gives them, whatever is mapped."""

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]:
        """Read them."""


def chunks(path: str | Path, size: int = CHUNK) -> Iterator[Chunk]:
    """Cut a file or folder into parts of at most ``size`` configurations, in order.

    Raises:
        InputError: it does not exist, or is none of these formats.
    """
    for file in files_of(path):
        suffix = file.suffix.lower()
        # each library is imported only for the files that need it
        if suffix in _HDF5:
            from sweep.data.read.hdf5 import hdf5_chunks

            yield from hdf5_chunks(str(file), size)
        elif suffix in _LMDB:
            from sweep.data.read.lmdb import lmdb_chunks

            yield from lmdb_chunks(str(file), size)
        elif suffix in _ASE:
            from sweep.data.read.ase_files import ase_chunks

            yield from ase_chunks(str(file), size)
        else:
            yield from _extxyz_chunks(str(file), size)


def located(path: str | Path) -> Path:
    """The path of a data file with ``~`` for the home folder replaced.

    Raises:
        InputError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"data file '{path}': no home folder to replace ~ by") from error


def files_of(path: str | Path) -> list[Path]:
    """The files of a folder in the order of their numbers; a file is its own only one.

    Raises:
        InputError: there is no such file, or the folder has none of a format that is read.
    """
    given, path = path, located(path)
    try:
        if not path.is_dir():
            if not path.is_file():
                kind = "is not a file" if path.exists() else "does not exist"
                raise InputError(f"data file '{given}' {kind}")
            return [path]
    except ValueError as error:  # a null byte
        raise InputError(f"data file {str(given)!r}: not a path: {error}") from error
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise InputError(f"data file '{given}': {error.strerror}") from error
    files = [file for file in path.iterdir() if file.suffix.lower() in (*_HDF5, *_LMDB)]
    if not files:
        names = ", ".join(f"*{suffix}" for suffix in (*_HDF5, *_LMDB))
        raise InputError(f"data folder '{path}' holds no file {names}")
    kinds = {file.suffix.lower() in _HDF5 for file in files}
    if len(kinds) > 1:
        raise InputError(f"data folder '{path}' holds both HDF5 and LMDB files; keep one kind")
    return sorted(files, key=_by_number)


def _by_number(file: Path) -> list[tuple[int, str]]:
    """train_2 comes before train_10."""
    parts = re.findall(r"\d+|\D+", file.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def size_of(path: str | Path) -> int:
    """Bytes of a file, or of all data files of a folder.

    Raises:
        InputError: see :func:`files_of`.
    """
    return sum(file.stat().st_size for file in files_of(path))


def content_digest(path: str | Path) -> str:
    """SHA-256 of what a file holds, or of the names and contents of a folder's data files.

    Raises:
        InputError: see :func:`files_of`.
    """
    digests = []
    for file in files_of(path):
        with file.open("rb") as stream:
            digests.append((file.name, hashlib.file_digest(stream, "sha256").hexdigest()))
    if not Path(path).is_dir():
        return digests[0][1]
    return hashlib.sha256(repr(digests).encode()).hexdigest()


@dataclass(frozen=True)
class _ExtxyzChunk:
    file: str
    texts: tuple[FrameText, ...]
    own_names: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    def frames(self) -> Iterator[Frame]:
        for text in self.texts:
            yield parse_frame(text, self.file)


def _extxyz_chunks(file: str, size: int) -> Iterator[Chunk]:
    texts: list[FrameText] = []
    for text in frame_texts(file):
        texts.append(text)
        if len(texts) == size:
            yield _ExtxyzChunk(file, tuple(texts))
            texts = []
    if texts:
        yield _ExtxyzChunk(file, tuple(texts))
