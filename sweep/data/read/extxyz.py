"""Frames of an extxyz file, one by one, with errors that name the frame. Imports no torch.

ASE parses each frame. Since ASE 3.23 its reader moves ``energy``, ``forces``, ``stress``,
``dipole`` and the other names of its calculators out of ``info`` and ``arrays`` into a single-point
calculator; here they are put back under the names of the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import InputError

__all__ = ["Frame", "FrameText", "frame_texts", "parse_frame", "read_frames"]

# ASE renames these columns on reading.
_RENAMED = {"charges": "charge"}


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
        message = f"{file}: not readable as an extxyz text file: {_first_line(error)}"
        raise InputError(message) from error


def _split(stream: IO[str], file: str) -> Iterator[FrameText]:
    index = 0
    number = 0  # of the line
    while header := stream.readline():
        number += 1
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
        lines = [stream.readline() for _ in range(n_atoms + 1)]
        if not lines[-1]:
            found = sum(map(bool, lines[1:]))
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
    import ase.io

    text = frame.text
    try:
        atoms = ase.io.read(io.StringIO(text), index=0, format="extxyz")
    # Whatever ASE and numpy raise on bad columns, symbols or values: there is no common base.
    except Exception as error:
        where = _where(file, frame.index, frame.line)
        raise InputError(f"{where} is not readable as extxyz: {_first_line(error)}") from error
    info, arrays = dict(atoms.info), dict(atoms.arrays)
    results = atoms.calc.results if atoms.calc is not None else {}
    columns = _columns(text)
    for name, value in results.items():
        # Where a value stood in the file tells whether it belongs to the atoms: by its shape alone,
        # the dipole of three atoms does not.
        column = next((c for c in (name, _RENAMED.get(name, name)) if c in columns), None)
        if column is None:
            info[name] = value
        else:
            arrays[column] = value
    numbers = np.asarray(arrays.pop("numbers"), dtype=np.int64)
    positions = np.asarray(arrays.pop("positions"), dtype=np.float64)
    cell, pbc = np.array(atoms.cell), atoms.pbc.copy()
    return Frame(frame.index, numbers, positions, cell, pbc, info, arrays)


def _columns(text: str) -> list[str]:
    """The names of the columns, from ``Properties=`` in the comment line."""
    _, _, properties = text.split("\n", 2)[1].partition("Properties=")
    return properties.split()[0].strip("\"'").split(":")[::3] if properties else []


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
