"""Opening a study where Optuna keeps it: a journal in the study's folder, or a database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweep.errors import InputError
from sweep.locks import FileLock, locked
from sweep.search.samplers import is_walked
from sweep.search.space import SearchSpace

__all__ = ["EXHAUSTED", "JOURNAL", "open_journal", "open_storage", "open_study"]

JOURNAL = "study.journal"
EXHAUSTED = "exhausted"  # user attribute of a study: there is nothing left to try


def open_study(
    folder: Path,
    name: str,
    *,
    n_objectives: int = 1,
    storage: str | None = None,
    space: SearchSpace | None = None,
) -> optuna.Study:
    """Create the study, or open the one that is there.

    Args:
        folder: Folder of the study.
        name: Its name.
        n_objectives: How many values are minimised.
        storage: URL of a database; None for a journal in the folder.
        space: The search space, to tell when a sampler has walked through all of it.

    Raises:
        InputError: if the storage cannot be opened or holds a study of another kind.
    """
    # We report the study's progress ourselves.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    opened = open_storage(storage, folder)
    with locked(folder / "locks" / "queue.lock"):
        study = optuna.create_study(
            study_name=name,
            storage=opened,
            directions=["minimize"] * n_objectives,
            load_if_exists=True,
        )
    if len(study.directions) != n_objectives:
        raise InputError(
            f"{folder}: holds a study of {len(study.directions)} objectives; objective.minimize "
            f"has {n_objectives}; give this one its own hydra.sweeper.study_name"
        )

    def stop() -> None:
        """Called by samplers that have tried everything, to end a loop that we do not use."""
        if space is not None and is_walked(study, space):
            study.set_user_attr(EXHAUSTED, True)

    study.stop = stop  # type: ignore[method-assign]
    return study


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The storage of a study: the journal in ``folder`` without a URL, else the database there.

    Raises:
        InputError: if the URL names no database that can be reached.
    """
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
        return open_journal(folder / JOURNAL)
    # SQLAlchemy takes a while to import, and a journal does not need it.
    from sweep.study.database import open_database

    return open_database(url)


def open_journal(path: Path) -> JournalStorage:
    """Open or create a journal; a line torn by a crash is cut off before the next is written.

    Optuna's own journal locks outlive a killed holder by 30 s; ours do not.
    """
    # The base class of Optuna's locks is private; what it asks for is acquire and release.
    lock: Any = _JournalLock(path)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class _JournalLock(FileLock):
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
            _repair(self._journal)
        return taken


def _repair(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
