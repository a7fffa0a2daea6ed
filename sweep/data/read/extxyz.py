"""Frames of an extxyz file, one by one, with errors that name the frame. Imports no torch.

Every key and every column keeps the name that it has in the file; ASE's reader renames some
(``charges``) and moves others to a calculator (``energy``, ``forces``, ``stress``, ``dipole``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.read.columns import atomic_numbers, positions, read_columns
from sweep.data.read.comment import RESERVED, lattice, parse_comment, periodic, value_of
from sweep.errors import InputError

__all__ = ["Frame", "FrameText", "frame_texts", "parse_frame", "read_frames"]


@dataclass(frozen=True)
class Frame:
    """One frame: ``info`` are the values of its comment line, ``arrays`` its further columns."""

    index: int
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    info: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FrameText:
    """The lines of one frame, unread; ``line`` is the number of its first one in the file."""

    text: str
    index: int
    line: int


def read_frames(file: str | Path) -> Iterator[Frame]:
    """Yield the frames of an extxyz file (also compressed: gz, bz2, xz).

    Raises:
        InputError: the file does not exist, or a frame cannot be read; frames are counted from 0.
    """
    for text in frame_texts(file):
        yield parse_frame(text, str(file))


def frame_texts(file: str | Path) -> Iterator[FrameText]:
    """Yield the frames of an extxyz file as they stand there.

    Raises:
        InputError: the file does not exist, is not text, or a frame is not whole.
    """
    path = Path(file)
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"data file '{file}' {kind}")
    from ase.io.formats import open_with_compression

    try:
        with open_with_compression(str(path), "r") as stream:
            yield from _split(stream, str(file))
    except (UnicodeDecodeError, OSError, EOFError) as error:
        message = (
            f"{file}: not readable as an extxyz text file: {_first_line(error)}; other formats go "
            "by the name: .traj and .db of ASE, .h5 and .lmdb of MACE"
        )
        raise InputError(message) from error


def _split(stream: IO[str], file: str) -> Iterator[FrameText]:
    index = 0
    number = 0  # of the line
    while header := stream.readline():
        number += 1
        if number == 1:
            header = header.removeprefix("\ufeff")  # what editors of Windows put there
        if not header.strip():
            continue
        where = _where(file, index, number)
        try:
            n_atoms = int(header)
        except ValueError:
            raise InputError(
                f"{where} is not extxyz: expected a number of atoms, got {header.strip()[:40]!r}"
            ) from None
        if n_atoms < 1:
            raise InputError(f"{where} has {n_atoms} atoms; it needs at least 1")
        # no more than there are: the number may be anything
        lines = list(itertools.takewhile(bool, (stream.readline() for _ in range(n_atoms + 1))))
        if len(lines) <= n_atoms:
            found = max(len(lines) - 1, 0)
            raise InputError(f"{where} is cut short: {found} of {n_atoms} atoms are there")
        yield FrameText(header + "".join(lines), index, number)
        number += n_atoms + 1
        index += 1


def _where(file: str, index: int, line: int) -> str:
    return f"{file}: frame {index} (line {line})"


def parse_frame(frame: FrameText, file: str) -> Frame:
    """Read one frame.

    Raises:
        InputError: it cannot be read; the message names the file, the frame and the line.
    """
    _, comment, *lines = frame.text.removesuffix("\n").split("\n")
    try:
        given = parse_comment(comment)
        flags = periodic(given["pbc"]) if "pbc" in given else None
        cell = lattice(given["Lattice"]) if "Lattice" in given else None
        _check_cell(given)
        arrays = read_columns(lines, given.get("Properties"))
        numbers, where = atomic_numbers(arrays), positions(arrays)
    except InputError as error:
        place = _where(file, frame.index, frame.line)
        raise InputError(f"{place} is not readable as extxyz: {error}") from error
    if flags is None:  # the format's rule: a cell repeats unless it says otherwise
        flags = np.full(3, cell is not None)
    info = {key: value_of(text) for key, text in given.items() if key not in RESERVED}
    cell = np.zeros((3, 3)) if cell is None else cell
    return Frame(frame.index, numbers, where, cell, flags, info, arrays)


def _check_cell(given: Mapping[str, str | None]) -> None:
    """A cell under another name would be lost without a word."""
    for key, text in given.items():
        if key.lower() in ("cell", "lattice_vectors", "unit_cell") and "Lattice" not in given:
            value = np.asarray(value_of(text))
            if value.dtype.kind in "if" and value.size in (3, 6, 9) and value.any():
                raise InputError(
                    f"the key '{key}' looks like the cell, which the format calls Lattice; "
                    "rename it"
                )


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
