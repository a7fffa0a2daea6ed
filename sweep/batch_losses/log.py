"""Reading the terms of a run from a debug log, ours or MACE_SCF's, line by line.

A log of MACE_SCF holds ``loss breakdown`` lines of three kinds: of training batches, of the batches
of every validation, and of those of the final error tables. They look alike and are told apart by
their place: see :mod:`sweep.batch_losses.segments`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sweep.batch_losses.run import BatchLosses, Range, Stage, read_stages
from sweep.batch_losses.segments import Header, Layout, Segment, decide
from sweep.errors import InputError

__all__ = ["from_log", "run_name"]

_CHUNK = 1 << 22  # bytes read at once
_LONGEST = 1 << 24  # bytes of a line; a log has no longer one
_LOOK_AHEAD = 4  # evaluations that are read before the layout of a log is decided

_MARK = b"loss breakdown:"
_EPOCH = re.compile(rb"Epoch (\d+): loss=\s*([^\s,]+)")
_RUN_STARTS = b"INFO: Configuration: "
_STAGE_ENDS = b"INFO: Training complete"
# After these MACE_SCF evaluates every set once more, the training set included.
_TRAINING_OVER = (b"INFO: Computing metrics for training", b"INFO: Computing final error tables")


def from_log(path: Path, wanted: Range) -> BatchLosses:
    """Read a debug log in one pass; memory grows with the longest evaluation interval only.

    Raises:
        InputError: if the file holds no breakdown of a training batch.
    """
    own = path.resolve().parent.parent / "trial.json"
    reader = _Reader(
        BatchLosses(title=run_name(path)),
        wanted,
        read_stages(own),
        Layout("a log of python -m sweep") if own.is_file() else None,
    )
    cut_off = False
    for line, complete in _lines(path):
        if not complete and _MARK in line:
            cut_off = True  # its last number may lack digits
        else:
            reader.line(line)
    reader.end()
    if reader.unreadable:
        reader.run.notes.append(f"left out {reader.unreadable} breakdown lines that are damaged")
    if cut_off:
        reader.run.notes.append("left out the last line, which is cut off")
    try:
        reader.run.check(path, wanted)
    except InputError as error:
        raise InputError(f"{error}{_hint(path)}") from None
    return reader.run


def run_name(path: Path) -> str:
    """The name of a run after its log, which MACE calls ``<name>_run-<seed>_debug.log``."""
    return re.sub(r"_run-\d+$", "", path.stem.removesuffix("_debug")) or path.stem


class _Reader:
    """Sorts the lines of a log into runs and segments, and hands the training batches on."""

    def __init__(
        self, run: BatchLosses, wanted: Range, stages: list[Stage], layout: Layout | None
    ) -> None:
        self.run = run
        self.unreadable = 0
        self._wanted = wanted
        self._stages = stages
        self._own_layout = layout
        self._layout = layout
        self._header = Header()
        self._segment = Segment()
        self._undecided: list[Segment] = []
        self._epoch: int | None = None  # the last one of which all batches have been seen
        self._training = True
        self._names: tuple[str, ...] = ()
        self._pattern: re.Pattern[bytes] | None = None

    def line(self, line: bytes) -> None:
        """Read one line."""
        start = line.find(_MARK)
        if start >= 0:
            if self._training:
                self._breakdown(line[start + len(_MARK) :])
        elif (match := _EPOCH.search(line)) is not None:
            self._close(epoch=int(match[1]), loss=match[2])
        elif _RUN_STARTS in line:
            self.end()
            self._header = Header.of_configuration(line, before=self._header)
            self._stages = self._header.stages or self._stages
            self._layout, self._epoch, self._training = self._own_layout, None, True
            self.run.started_again()
        elif _STAGE_ENDS in line:
            self._close(stage_end=True)
        elif any(text in line for text in _TRAINING_OVER):
            self.end()
            self._training = False
        else:
            self._header.read(line)

    def end(self) -> None:
        """Close what is open: the file ends, or another run begins."""
        self._close()
        self._flush()

    def _breakdown(self, text: bytes) -> None:
        values = self._values(text)
        if values is None:
            self.unreadable += 1
        else:
            self._segment.add(self._names, values)

    def _values(self, text: bytes) -> Sequence[float] | None:
        try:
            if self._pattern is not None and (match := self._pattern.fullmatch(text)):
                return [float(value) for value in match.groups()]
            parts = [part for part in text.decode().split(", ") if part.strip()]
            pairs = [part.strip().split(": ") for part in parts]
            values = [float(value) for _, value in pairs]
            self._names = tuple(name for name, _ in pairs)
        except ValueError:  # not text, not a number, or not a pair
            return None
        if not values or len(set(self._names)) < len(values):
            return None
        fields = (re.escape(name).encode() + rb": ([^\s,]+)" for name in self._names)
        self._pattern = re.compile(rb"\s*" + rb", ".join(fields) + rb",?\s*")
        return values

    def _close(
        self, epoch: int | None = None, loss: bytes | None = None, *, stage_end: bool = False
    ) -> None:
        segment, self._segment = self._segment, Segment()
        segment.epoch, segment.loss, segment.stage_end = epoch, loss, stage_end
        if not segment.size and epoch is None:
            return
        self._undecided.append(segment)
        if self._layout is not None or len(self._undecided) >= _LOOK_AHEAD:
            self._flush()

    def _flush(self) -> None:
        if not self._undecided:
            return
        if self._layout is None:
            self._layout = decide(self._undecided, self._header)
            if (note := self._layout.describe()) not in self.run.notes:
                self.run.notes.append(note)
        for segment in self._undecided:
            self._hand_on(segment, self._layout)
        self._undecided = []

    def _hand_on(self, segment: Segment, layout: Layout) -> None:
        """Divide the batches of a segment between its epochs, without those of its validation."""
        n_training, n_epochs = layout.split(segment, self._epoch)
        last = segment.epoch
        if last is None:
            last = (-1 if self._epoch is None else self._epoch) + n_epochs
        first = last - n_epochs + 1
        per_epoch = layout.per_epoch or -(-n_training // n_epochs)
        done = 0
        for names, values in segment.blocks:
            rows = np.array(values).reshape(-1, len(names))[: max(n_training - done, 0)]
            for start, stop, epoch in _pieces(done, len(rows), per_epoch, first, last):
                part = rows[start:stop]
                self.run.add(epoch, names, part, self._wanted, self._stages)
            done += len(rows)
        if segment.epoch is not None or segment.stage_end:
            self._epoch = last


def _pieces(
    done: int, n_rows: int, per_epoch: int, first: int, last: int
) -> Iterator[tuple[int, int, int]]:
    """Ranges of rows of one epoch each; rows beyond the last epoch belong to it."""
    start = 0
    while start < n_rows:
        epoch = min(first + (done + start) // max(per_epoch, 1), last)
        stop = n_rows if epoch == last else (epoch - first + 1) * per_epoch - done
        yield start, min(stop, n_rows), epoch
        start = min(stop, n_rows)


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file and whether they end with a line break, a chunk in memory at a time."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if b"\0" in chunk:
                raise InputError(f"{path}: is not a text file")
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line, True
            if len(rest) > _LONGEST:
                raise InputError(f"{path}: is not a log: a line is longer than {_LONGEST} bytes")
    if rest:
        yield rest, False


def _hint(path: Path) -> str:
    if path.stat().st_size == 0:
        return "; it is empty"
    debug = path.with_name(f"{path.stem}_debug.log")
    if debug.is_file():
        return f"; did you mean {debug}?"
    return "; MACE_SCF writes them to logs/<name>_debug.log"
