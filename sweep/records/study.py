"""A study as its folder tells it: its trials, and which of them answer its question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import DamagedRecordError, InputError
from sweep.numbers import above
from sweep.quantities import quantity
from sweep.records.feasibility import broken, feasible
from sweep.records.front import Front, front_of
from sweep.records.judging import Judgement, by_objective, judged
from sweep.records.objective import Objective
from sweep.records.state import State
from sweep.records.study_record import Dimension, StudyRecord
from sweep.records.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["Study", "read_trial"]

_N_READERS = 4


@dataclass(frozen=True)
class Study:
    """The trials of a study and every rule about them.

    Iterating gives its trials by number, ``study[7]`` trial 7, ``study.trials`` a table of all.

    Attributes:
        name: Its name.
        folder: Its folder.
        all: Its readable trials, by number.
        record: What ``study.json`` tells; None for a study of a version that wrote none.
        unreadable: Folders of trials that could not be read, and why.
        judgement: What the trials are judged by instead of the study's own objective, if anything.
        is_search: False for single trainings that were put together: they have no default and no
            ranks, and what the first one is, is up to whoever compares them.
    """

    name: str
    folder: Path
    all: tuple[Trial, ...]
    record: StudyRecord | None = None
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    is_search: bool = True
    judgement: Judgement | None = None

    @classmethod
    def read(cls, folder: Path, name: str | None = None) -> Study:
        """Read all trials of a study's folder; what cannot be read is left out and named.

        Args:
            folder: Its folder.
            name: What it is called; by default the name of the folder.
        """
        trials: list[Trial] = []
        unreadable: dict[Path, str] = {}
        paths = sorted((folder / "trials").glob("*"))
        with ThreadPoolExecutor(_N_READERS) as readers:  # most of the time is waiting for files
            for path, found in zip(paths, readers.map(read_trial, paths), strict=True):
                if isinstance(found, Trial):
                    trials.append(found)
                else:
                    unreadable[path] = str(found)
        try:
            record = StudyRecord.read(folder)
        except DamagedRecordError as error:
            record, unreadable[folder / "study.json"] = None, str(error)
        if record is not None:  # those from before the study went on under another objective
            trials = [by_objective(trial, record.objective) for trial in trials]
        return cls(name or folder.resolve().name, folder, tuple(trials), record, unreadable)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state.lower()}" for state, n in sorted(self.states.items()))
        best = "" if self.best is None else f", {self.best_role} trial {self.best.number}"
        return f"<Study {self.name}: {len(self)} trials ({counts or 'none'}){best}, {self.folder}>"

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, number: int) -> Trial:
        for trial in self.all:
            if trial.number == number:
                return trial
        numbers = [trial.number for trial in self.all]
        held = f"trials {numbers[0]} to {numbers[-1]}" if numbers else "no trials"
        raise InputError(f"{self.folder}: has no trial {number}; it holds {held}")

    def read_balances(self) -> None:
        """Read the term balance of all trials now, several at a time, instead of when asked for."""
        with ThreadPoolExecutor(_N_READERS) as readers:
            list(readers.map(lambda trial: trial.balances, self.all))

    # What is searched

    @property
    def space(self) -> Mapping[str, Dimension]:
        """The searched keys and the values among which they are searched, where known."""
        return {} if self.record is None else self.record.space

    @cached_property
    def objective(self) -> Objective | None:
        """What the trials are judged by."""
        if self.record is not None:
            return self.record.objective
        trials = (*self.complete, *self.all)
        return next((t.objective for t in trials if t.objective is not None), None)

    # Which trials matter

    @property
    def states(self) -> dict[State, int]:
        """Number of trials in each state."""
        return dict(Counter(trial.state for trial in self.all))

    @cached_property
    def complete(self) -> list[Trial]:
        """The trials that were trained to the end."""
        return [trial for trial in self.all if trial.is_complete]

    @cached_property
    def default(self) -> Trial | None:
        """The complete trial with the configured weights."""
        return self._of_role("default")

    @cached_property
    def balanced(self) -> Trial | None:
        """The complete trial whose weights followed the gradients of the terms."""
        return self._of_role("balanced")

    @cached_property
    def static(self) -> Trial | None:
        """The complete trial with the static weights that :attr:`balanced` ended with."""
        return self._of_role("static")

    @cached_property
    def best(self) -> Trial | None:
        """The answer: the feasible trial with the smallest score.

        Of several objectives the knee of their front, or, where the front has none, the trial on
        the front with the smallest score: no other trial is better than it in all of them.
        """
        if self.front is None:
            return min(self.feasible, key=_by_score, default=None)
        return self.front.knee or min((t for t, _ in self.front.trials), key=_by_score)

    @property
    def best_role(self) -> str:
        """What :attr:`best` is called: ``knee`` or ``best``."""
        return "best" if self.front is None or self.front.knee is None else "knee"

    @cached_property
    def feasible(self) -> list[Trial]:
        """The complete trials that keep the study's constraints."""
        return feasible(self.all, self.default)

    @cached_property
    def ranked(self) -> list[Trial]:
        """The feasible trials that are no copies of another, best first.

        By score; of several objectives :attr:`best` comes first, then the others on the front.
        """
        on_front = set() if self.front is None else {t.folder for t, _ in self.front.trials}

        def key(trial: Trial) -> tuple[bool, bool, tuple[float, int]]:
            return trial is not self.best, trial.folder not in on_front, _by_score(trial)

        return sorted((t for t in self.feasible if t.same_as is None), key=key)

    @cached_property
    def blocked(self) -> list[Trial]:
        """The complete trials with a smaller score than the best that break a constraint.

        The one that breaks them least comes first.
        """
        if self.default is None:
            return []
        misses = {t.folder: sum(broken(t, self.default).values()) for t in self.complete}
        limit = math.inf if self.best is None else _by_score(self.best)[0]
        found = [t for t in self.complete if t is not self.default and misses[t.folder] > 0
                 and _by_score(t)[0] < limit]  # fmt: skip
        return sorted(found, key=lambda trial: (misses[trial.folder], _by_score(trial)))

    @property
    def references(self) -> dict[str, Trial]:
        """``default``, ``balanced``, ``static``, ``best`` (or ``knee``), where there are such."""
        found = {"default": self.default, "balanced": self.balanced, "static": self.static,
                 self.best_role: self.best}  # fmt: skip
        return {role: trial for role, trial in found.items() if trial is not None}

    @cached_property
    def recipes(self) -> dict[str, Trial]:
        """The complete trials that trained published weights, by the name of the recipe."""
        own = (None, "default", "balanced", "static")
        found = {t.role: t for t in self.complete if self.is_search and t.role not in own}
        return {role: trial for role, trial in found.items() if role is not None}

    def roles_of(self, trial: Trial) -> str:
        """What a trial is called: ``default``, ``balanced, best`` or the name of a recipe."""
        named = {**self.recipes, **self.references}
        return ", ".join(role for role, one in named.items() if one.folder == trial.folder)

    def why_unranked(self, trial: Trial) -> str | None:
        """Why a complete trial is not ranked; None if it is, or is not complete."""
        if not (self.is_search and trial.is_complete):
            return None
        if trial.same_as is not None:
            return f"same weights as trial {trial.same_as}"
        if self.default is None or trial.objective is None:
            return None
        allowed = trial.objective.constraints
        return "; ".join(
            f"{quantity(name).title} {above(value + allowed[name], allowed[name])} times the "
            f"default's, at most {allowed[name]:g} allowed"
            for name, value in broken(trial, self.default).items()
        ) or None  # fmt: skip

    @cached_property
    def front(self) -> Front | None:
        """The front of a study of several objectives; None of one with a single objective."""
        if not self.is_search or self.objective is None:
            return None
        return front_of([t for t in self.feasible if t.same_as is None], self.objective.minimize)

    def judged(
        self,
        metrics: Sequence[str] | Mapping[str, float] | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> Study:
        """The same trials by other metrics or limits: see :func:`sweep.records.judging.judged`."""
        return judged(self, metrics, limits)

    def judge(self, trial: Trial) -> Trial:
        """A training beside the trials, such as one with another seed, judged as they are."""
        if self.record is not None and (self.judgement is None or self.judgement.metrics is None):
            trial = by_objective(trial, self.record.objective)
        return trial if self.judgement is None else self.judgement.apply(trial)

    # Tables

    @cached_property
    def trials(self) -> pd.DataFrame:
        """All trials as a table: see :func:`sweep.records.frame.trial_frame`."""
        from sweep.records.frame import trial_frame

        return trial_frame(self)

    def _repr_html_(self) -> str:
        from sweep.records.frame import study_html

        return study_html(self)

    def _of_role(self, role: str) -> Trial | None:
        found = (t for t in self.complete if t.role == role)
        return next(found, None) if self.is_search else None


def _by_score(trial: Trial) -> tuple[float, int]:
    assert trial.score is not None  # checked on reading, for complete trials
    return trial.score, trial.number


def read_trial(path: Path) -> Trial | DamagedRecordError:
    """A trial from its folder, or what is wrong with it."""
    try:
        return Trial.read(path)
    except DamagedRecordError as error:
        return error
