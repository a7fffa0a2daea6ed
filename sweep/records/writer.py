"""The folder of one trial while it is trained: the only writer of ``trial.json``."""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweep.files import end_digest, read_json, replacing, write_json
from sweep.records.epoch_tables import EpochTables
from sweep.records.notes import FILE as note_file
from sweep.records.prefix import CHECKPOINT, Prefix
from sweep.records.state import State
from sweep.records.trial_file import BEST_MODEL, FILE

__all__ = ["PROGRESS", "Result", "TrialWriter"]

PROGRESS = "progress.json"
"""The epochs of a training by another program; our own has them in its checkpoint."""


@dataclass
class Result:
    """How a training ended.

    Attributes:
        state: ``COMPLETE``, ``PRUNED`` or ``STOPPED``.
        score: The score by the objective's epoch rule.
        epoch: The epoch that it comes from.
        metrics: For ``valid`` and, if complete, ``test``: the metrics of that epoch's model.
        details: What else ``trial.json`` shall tell, such as the metrics for each ``config_type``.
    """

    state: State
    score: float
    epoch: int
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


class TrialWriter:
    """Writes what a trial leaves behind: ``trial.json``, its tables and its log.

    A trainer opens the tables by :meth:`open_tables`, adds rows and calls :meth:`commit` at the end
    of every epoch, before it writes its checkpoint.

    Args:
        folder: Folder of the trial.
        entries: Of ``trial.json``: ``number``, ``role``, ``params``, ….
        may_write: Called before anything is written; raises ``LeaseLostError`` if another worker
            has the trial by now, and nothing is written then.
    """

    def __init__(
        self,
        folder: Path,
        entries: Mapping[str, Any],
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.may_write = may_write
        self._entries = dict(entries)
        self._content: dict[str, Any] = {}
        self._tables: EpochTables | None = None
        self._began = time.perf_counter()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Say that the trial is being trained, for the first time or again.

        Args:
            facts: What the training is: seed, stages, objective, device, versions, ….
        """
        try:
            before = read_json(self.folder / FILE)
        except ValueError:  # damaged; only the time spent so far is lost
            before = {}
        self._content = {
            "started": _now(),
            "seconds": 0.0,
            **before,
            **self._entries,
            "state": State.RUNNING,
            "reason": None,
            **facts,
        }
        self._began = time.perf_counter()
        if before.get("params") not in (None, _as_json(self._entries.get("params"))):
            # Optuna lost what was drawn first, and drew again: nothing of two may be mixed.
            self.set_aside(f"trained with other parameters: {before['params']}")
        self._write()

    def start_from(self, prefix: Prefix) -> None:
        """Begin with the first stages of another training, if there are such and none here."""
        if (self.folder / CHECKPOINT).exists():
            return
        try:
            self._content["prefix"] = prefix.note()
            self._write()
            prefix.unpack(self.folder, self.may_write)
        except (FileNotFoundError, zipfile.BadZipFile):  # it is trained here then
            self._content.pop("prefix", None)
            self._write()

    def open_tables(
        self,
        fit_name: str,
        *,
        last_epoch: int = -1,
        log_size: int = 0,
        n_steps: int = 0,
        n_evaluations: int | None = None,
    ) -> EpochTables:
        """Open the tables and cut them back to the checkpoint: see :class:`EpochTables`.

        Raises:
            DamagedRecordError: if a file is damaged, or a row that belongs to the checkpoint is
                gone.
        """
        self._tables = EpochTables(
            self.folder,
            fit_name,
            last_epoch=last_epoch,
            log_size=log_size,
            n_steps=n_steps,
            n_evaluations=n_evaluations,
            multipoles_max_l=self._content.get("multipoles_max_l"),
        )
        return self._tables

    def commit(self) -> int:
        """Put the added rows on disk; returns the size of the debug log, for the checkpoint."""
        assert self._tables is not None
        self.may_write()
        return self._tables.write(self.may_write)

    def set_aside(self, why: str) -> None:
        """Move what was recorded into ``damaged/``: the trial begins again and nothing is lost.

        Args:
            why: What is damaged.
        """
        self.may_write()
        self._content["restarted"] = why
        self._content.pop("prefix", None)
        aside = self.folder / "damaged" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        aside.mkdir(parents=True)
        for pattern in ("*.pt", "*.parquet", "logs", PROGRESS):
            for path in self.folder.glob(pattern):
                path.rename(aside / path.name)

    def end(self, result: Result, epochs_trained: int) -> None:
        """Write how the training ended. It is on the disk when this returns."""
        self._content |= {
            "state": result.state,
            "score": result.score,
            "epoch": result.epoch,
            "epochs_trained": epochs_trained,
            "metrics": result.metrics,
            "best_model": end_digest(self.folder / BEST_MODEL),
            **result.details,
        }
        self._note_weights_that_acted()
        self._write_end()

    def fail(self, error: Exception) -> None:
        """Write that the training failed, and why."""
        reason = str(error) or type(error).__name__
        details = "".join(traceback.format_exception(error))
        self._content |= {"state": State.FAILED, "reason": reason, "traceback": details}
        self._write_end()

    def copy(self, number: int) -> Result | None:
        """Take over the records of another trial of the study, which was trained with the same.

        Args:
            number: The other trial.

        Returns:
            Its result; None if its records cannot be read.
        """
        return self._take_over(self.folder.with_name(f"{number:04d}"), {"same_as": number})

    def reuse(self, source: Path) -> Result | None:
        """Take over the records of a trial of another study: see :meth:`copy`.

        Args:
            source: Its folder.
        """
        return self._take_over(source, {"same_as": None, "reused": str(source)})

    def _take_over(self, source: Path, entries: Mapping[str, Any]) -> Result | None:
        """Link the records of a trial, in which nothing ever changes."""
        try:
            content = {**read_json(source / FILE), **self._entries, **entries}
            result = Result(
                State(content["state"]), content["score"], content["epoch"], content["metrics"]
            )
        except (ValueError, KeyError):
            return None
        self.may_write()
        for path in sorted(source.rglob("*")):
            if path.is_file() and path not in (source / FILE, source / note_file):
                target = self.folder / path.relative_to(source)
                with replacing(target, check=self.may_write) as temporary:
                    _link(path, temporary)
        self._content = content
        self._write()
        return result

    def _note_weights_that_acted(self) -> None:
        """Where weights followed the training, the stages tell their mean instead of the start."""
        weighting = self._content.get("weighting", {}).get("name", "fixed")
        if weighting == "fixed" or self._tables is None:
            return
        for stage in self._content["stages"]:
            means = self._tables.mean_weights(stage["start"], stage["end"])
            stage["loss"] = {
                name: {**term, "weight": means.get(name, term["weight"])}
                for name, term in stage["loss"].items()
            }

    def _write_end(self) -> None:
        self._content["seconds"] += time.perf_counter() - self._began
        self._content["finished"] = _now()
        self._write()

    def _write(self) -> None:
        self.may_write()
        write_json(self.folder / FILE, self._content, check=self.may_write)


def _as_json(value: Any) -> Any:
    """A value as it comes back from a JSON file."""
    return json.loads(json.dumps(value))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
