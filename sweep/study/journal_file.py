"""The file of a study's journal: a torn end is cut off, damage in the middle is told."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from sweep.errors import InputError
from sweep.files import replacing
from sweep.locks import FileLock

__all__ = ["JournalFile"]

_TAIL_BYTES = 65_536
_CREATE_STUDY, _CREATE_TRIAL, _SET_STATE = 0, 4, 6
# Optuna's operations and the entries without which it cannot repeat one.
_ENTRIES: dict[int, tuple[str, ...]] = {
    _CREATE_STUDY: ("study_name", "directions"),
    1: ("study_id",),
    2: ("study_id", "user_attr"),
    3: ("study_id", "system_attr"),
    _CREATE_TRIAL: ("study_id", "datetime_start"),
    5: ("trial_id", "param_name", "param_value_internal", "distribution"),
    _SET_STATE: ("trial_id", "state", "values"),
    7: ("trial_id", "step", "intermediate_value"),
    8: ("trial_id", "user_attr"),
    9: ("trial_id", "system_attr"),
    10: (),
}


class JournalFile(JournalFileBackend):
    """Optuna's journal in a file, which is written one line per operation.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        # The base class of Optuna's locks is private; what it asks for is acquire and release.
        # Its own locks outlive a killed holder by 30 s; ours do not.
        lock: Any = _Lock(path)
        super().__init__(str(path), lock_obj=lock)
        self._path = path

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The operations from a number on.

        Raises:
            InputError: if one that is not the last cannot be read, saying how to go on.
        """
        next_number = log_number_from
        try:
            for log in super().read_logs(log_number_from):
                if not _is_operation(log):
                    raise ValueError("no operation of Optuna's")
                next_number += 1
                yield log
        except ValueError as error:  # such as those of JSON and UTF-8
            lines = _lines(self._path)
            if any(_parse(line) is None for line in lines[:-1]):
                raise InputError(_save_readable(self._path, lines)) from error
            # A torn last line, which is cut off before anything is written: nothing is known of
            # where the one after it begins.
            self._log_number_offset.pop(next_number + 1, None)


class _Lock(FileLock):
    """The lock under which Optuna appends to a journal, first cutting off a torn last line.

    Such a line is left by a crash or a full disk; it would swallow the next record and make the
    journal unreadable from then on.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(journal.with_suffix(".lock"))
        self._journal = journal

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock and repair the journal."""
        taken = super().acquire(blocking=blocking)
        if taken:
            _cut_torn_end(self._journal)
        return taken


def _cut_torn_end(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        start = max(0, size - _TAIL_BYTES)
        file.seek(start)
        tail = file.read()
        if b"\n" not in tail[:-1] and start:
            file.seek(0)
            start, tail = 0, file.read()
        end = tail.rfind(b"\n") + 1
        last = tail.rfind(b"\n", 0, end - 1) + 1 if end else 0
        if end and _parse(tail[last:end]) is None:
            end = last
        if end != len(tail):
            file.truncate(start + end)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The operation that a line holds, None if it holds none."""
    try:
        log = json.loads(line)
    except ValueError:
        return None
    return log if _is_operation(log) else None


def _is_operation(log: Any) -> bool:
    if not isinstance(log, dict) or "worker_id" not in log:
        return False
    entries = _ENTRIES.get(log["op_code"]) if type(log.get("op_code")) is int else None
    return entries is not None and all(key in log for key in entries)


def _lines(path: Path) -> list[bytes]:
    return [line + b"\n" for line in path.read_bytes().split(b"\n")[:-1]]


def _save_readable(path: Path, lines: list[bytes]) -> str:
    """Write what can be read of a damaged journal beside it; returns what to tell the user."""
    parsed = [_parse(line) for line in lines]
    bad = [number for number, log in enumerate(parsed) if log is None]
    offset = sum(len(line) for line in lines[: bad[0]])
    where = (
        f"{path}: damaged: {len(bad)} of {len(lines)} lines cannot be read, the first of them at "
        f"byte {offset} (line {bad[0] + 1})"
    )
    kept = [log for log in parsed if log is not None]
    if not kept or kept[0]["op_code"] != _CREATE_STUDY:
        return (
            f"{where}; with its beginning the order of the trials is lost; to begin anew give the "
            "study its own hydra.sweeper.study_name; the records in trials/ can be compared"
        )
    whole = list(_with_lost_trials(kept))
    n_trials = sum(log["op_code"] == _CREATE_TRIAL for log in whole)
    n_ended = len({
        log["trial_id"] for log in whole
        if log["op_code"] == _SET_STATE and TrialState(log["state"]).is_finished()
    })  # fmt: skip
    readable = path.with_name(f"{path.name}.readable")
    with replacing(readable) as temporary:
        temporary.write_text(
            "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in whole),
            encoding="utf-8",
        )
    return (
        f"{where}; the others tell of {n_trials} trials, {n_ended} of them ended, and are in "
        f"{readable.name}; to go on with them end all workers, rename it to {path.name} and run "
        "again: a trial whose end is lost is finished again from its records"
    )


def _with_lost_trials(logs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Operations with a beginning for trials whose own is lost: numbers are counted by these."""
    n_trials, study = 0, 0
    began: str | None = None
    for log in logs:
        if log["op_code"] == _CREATE_TRIAL:
            study, began = log["study_id"], log["datetime_start"] or began
            n_trials += 1
        while n_trials <= log.get("trial_id", -1):
            n_trials += 1
            yield {
                "op_code": _CREATE_TRIAL, "worker_id": log["worker_id"], "study_id": study,
                "datetime_start": began, "state": TrialState.RUNNING.value,
            }  # fmt: skip
        yield log
