"""Opening a study where Optuna keeps it: a journal in the study's folder, or a database."""

from __future__ import annotations

import copy
from collections.abc import Container
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import InputError
from sweep.locks import locked
from sweep.search.samplers import is_walked
from sweep.search.space import SearchSpace
from sweep.study.journal_file import JournalFile

__all__ = [
    "EXHAUSTED", "GOES_ON_AS", "JOURNAL", "names_of", "open_journal", "open_storage", "open_study",
]  # fmt: skip

JOURNAL = "study.journal"
EXHAUSTED = "exhausted"  # user attribute of a study: there is nothing left to try
# User attribute of a study whose trials were judged again: in which of Optuna's studies it goes on.
GOES_ON_AS = "goes_on_as"


def open_study(
    folder: Path,
    name: str,
    *,
    n_objectives: int = 1,
    storage: str | None = None,
    space: SearchSpace | None = None,
) -> optuna.Study:
    """Create the study, or open the one that is there, under its last objective.

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
            study_name=names_of(opened, name)[-1],
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


def names_of(storage: BaseStorage, name: str) -> list[str]:
    """What Optuna calls a study: its name, and one more for every time it was judged again."""
    names = [name]
    try:
        while True:
            attrs = storage.get_study_user_attrs(storage.get_study_id_from_name(names[-1]))
            if GOES_ON_AS not in attrs:
                return names
            names.append(attrs[GOES_ON_AS])
    except KeyError:  # it is yet to be created
        return names


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
    """Open or create a journal; see :class:`sweep.study.journal_file.JournalFile`."""
    return Journal(JournalFile(path))


class Journal(JournalStorage):
    """Optuna's journal, which does not look at every trial that has ended each time it is asked."""

    def __init__(self, log_storage: BaseJournalBackend) -> None:
        super().__init__(log_storage)
        self._ended: dict[int, _Ended] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be found again."""
        return {**super().__getstate__(), "_ended": {}}

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As Optuna's."""
        with self._thread_lock:
            self._sync_with_backend()
            known = self._replay_result
            known.get_study(study_id)  # raises KeyError for one that is gone
            ended = self._ended.setdefault(study_id, _Ended())
            ids = known._study_id_to_trial_ids[study_id]
            rest = ended.update([known._trials[i] for i in ids[ended.length :]])
            wanted = frozenset(s for s in TrialState if states is None or s in states)
            trials = [*ended.of(wanted), *(trial for trial in rest if trial.state in wanted)]
        return copy.deepcopy(trials) if deepcopy else trials


class _Ended:
    """The trials of a study up to the first one that has not ended; they never change."""

    def __init__(self) -> None:
        self.length = 0
        self._all: list[FrozenTrial] = []
        self._chosen: dict[frozenset[TrialState], list[FrozenTrial]] = {}

    def update(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Take in the next ones; returns those from the first that has not ended on."""
        count = next(
            (i for i, trial in enumerate(trials) if not trial.state.is_finished()), len(trials)
        )
        self._all += trials[:count]
        self.length += count
        for wanted, chosen in self._chosen.items():
            chosen += [trial for trial in trials[:count] if trial.state in wanted]
        return trials[count:]

    def of(self, wanted: frozenset[TrialState]) -> list[FrozenTrial]:
        """Those in one of these states; the list must not be changed."""
        if wanted not in self._chosen:
            self._chosen[wanted] = [trial for trial in self._all if trial.state in wanted]
        return self._chosen[wanted]
