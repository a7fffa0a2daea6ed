"""The lines that the driver inside ``mace_run_train`` leaves, and their reader. Imports no torch.

Every line of ``events.jsonl`` is a JSON object with ``event``:

``ready``
    Once, before the first epoch of a process: ``epoch`` from which it goes on, ``terms`` of each
    stage, ``scales``, ``n_parameters``, ….
``step``
    A step: ``epoch``, ``step`` within it, ``stage``, ``time``, ``lr``, and in the order of the
    stage's terms ``raw`` and ``weight``; ``total`` and ``norm`` (null where it is unknown).
``balance``
    Gradients of the terms at ``epoch``: ``stage``, ``terms``, ``raw``, ``weighted``, ``cosine``.
``epoch``
    The end of an epoch: ``stage``, ``metrics`` on the validation set, ``n_steps`` that it had.
``test``
    The errors of the ``epoch`` that was chosen on the test sets: ``metrics``.
``check``
    What the task of this name found: see :class:`~.control.Control`.
``note``, ``error``
    ``message``; of an error its ``kind``.
``end``
    All is done.

A process that goes on repeats the epoch in which the one before it was ended.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from sweep.training.external.events import Balance, Evaluation, Event, Step, parse_json
from sweep.training.external.process import LineFile

__all__ = ["EventLog", "EventSource"]


class EventLog:
    """Appends lines to a file; each can be read as soon as it is written.

    Args:
        path: The file. Half a line at its end, of a process that was killed, is closed first.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        size = self._file.seek(0, os.SEEK_END)
        if size:
            self._file.seek(size - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def write(self, event: str, **content: Any) -> None:
        """Append a line. Numbers that are not finite are written as JSON's extension has them."""
        line = json.dumps({"event": event, **content}, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        os.fsync(self._file.fileno())


class EventSource:
    """What the driver tells. A :class:`~sweep.training.external.trainer.Source`.

    Args:
        path: The file.

    Attributes:
        found: The last event of each other kind that was read.
        notes: The notes.
    """

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._terms: list[list[str]] = []
        self.found: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []

    def read(self, *, rest: bool = False) -> list[Event]:
        """See :class:`~sweep.training.external.trainer.Source`."""
        found = []
        for line in self._file.read(rest=rest):
            content = parse_json(line)  # half a line, of a process that was killed, is none
            if isinstance(content, dict) and "event" in content:
                found.append(self._event_of(content.pop("event"), content))
        return [event for event in found if event is not None]

    def _event_of(self, kind: str, content: dict[str, Any]) -> Event | None:
        if kind == "step":
            terms = self._terms[content["stage"]] if self._terms else []
            return Step(
                epoch=content["epoch"],
                step=content["step"],
                raw=dict(zip(terms, content["raw"], strict=True)),
                weights=dict(zip(terms, content["weight"], strict=True)),
                total=content["total"],
                lr=content["lr"],
                grad_norm=content["norm"],
                time=content["time"],
            )
        if kind == "balance":
            return Balance(
                epoch=content["epoch"],
                terms=tuple(content["terms"]),
                raw=tuple(content["raw"]),
                weighted=tuple(content["weighted"]),
                cosine=tuple(map(tuple, content["cosine"])),
            )
        if kind == "epoch":
            return Evaluation(content["epoch"], "valid", content["metrics"])
        if kind == "test":
            return Evaluation(content["epoch"], "test", content["metrics"])
        if kind == "note":
            self.notes.append(content["message"])
        else:
            self.found[kind] = content
        if kind == "ready":
            self._terms = content["terms"]
        return None
