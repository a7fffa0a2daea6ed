"""Is the gain beyond the noise? The best trials and the default, trained again with other seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sweep.errors import DamagedRecordError
from sweep.records import Study, Trial
from sweep.report.spread import SIGNIFICANCE, Spread, paired, welch

__all__ = ["Candidate", "Confirmation", "read_confirmation"]


@dataclass(frozen=True)
class Candidate:
    """A trial of the search and its trainings with other seeds.

    Attributes:
        number: Number of the trial.
        repeats: Each training, by seed.
        found: The trial of the search; None if it is gone.
    """

    number: int
    repeats: list[Trial]
    found: Trial | None

    @property
    def complete(self) -> list[Trial]:
        """The trainings that are complete."""
        return [trial for trial in self.repeats if trial.is_complete]

    def spread(self, split: str, key: str) -> Spread | None:
        """A metric over the seeds, None if it was not measured in all complete trainings.

        Args:
            split: ``valid`` or ``test``.
            key: ``score`` or, for example, ``rmse_forces``.
        """
        values = [
            trial.score_on(split) if key == "score" else trial.results.get(split, {}).get(key)
            for trial in self.complete
        ]
        known = tuple(float(value) for value in values if value is not None)
        return Spread(known) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class Confirmation:
    """What the trainings with other seeds say of a search.

    Attributes:
        folder: Folder of the study.
        candidates: The default first, then in the order of the search.
        unreadable: Why trainings could not be read.
        minimize: What the search minimises: ``score`` or quantities.
        best: Number of the trial that is the answer of the search.
        best_role: What it is called: ``best`` or ``knee``.
        length: How many times as long as those of the search its trainings were.
    """

    folder: Path
    candidates: list[Candidate]
    unreadable: list[str] = field(default_factory=list)
    minimize: tuple[str, ...] = ("score",)
    best: int | None = None
    best_role: str = "best"
    length: int = 1

    @property
    def statistic(self) -> str:
        """``rmse`` or ``mae``."""
        return next((t.statistic for c in self.candidates for t in c.repeats), "rmse")

    @property
    def of_best(self) -> Candidate | None:
        """The answer of the search, if it was trained again and is not the default."""
        return self.candidate(self.best) if self.best else None

    @property
    def is_of_best(self) -> bool:
        """Whether the answer of the search itself was trained again."""
        return self.of_best is not None

    @property
    def default(self) -> Candidate | None:
        """The default weights."""
        return self.candidate(0)

    def candidate(self, number: int) -> Candidate | None:
        """The candidate of a trial; None if it was not trained again."""
        return next((c for c in self.candidates if c.number == number), None)

    @property
    def others(self) -> list[Candidate]:
        """The other references and the best trials of the search, best first."""
        return [c for c in self.candidates if c.number]

    @cached_property
    def split(self) -> str:
        """What is judged by: the test set where every training was measured on it."""
        complete = [trial for c in self.candidates for trial in c.complete]
        measured = [trial.score_on("test") is not None for trial in complete]
        return "test" if measured and all(measured) else "valid"

    def score(self, candidate: Candidate) -> Spread | None:
        """The score of a candidate on :attr:`split`."""
        return candidate.spread(self.split, "score")

    def pair(self, candidate: Candidate, key: str = "score") -> tuple[Spread, Spread] | None:
        """A candidate's score or error and the default's on :attr:`split`, if both are known.

        Args:
            candidate: The candidate.
            key: ``score`` or a quantity.
        """
        own, reference = (
            c.spread(self.split, key if key == "score" else f"{self.statistic}_{key}")
            if c is not None else None
            for c in (candidate, self.default)
        )  # fmt: skip
        return None if own is None or reference is None else (own, reference)

    def p_value(self, candidate: Candidate, key: str = "score") -> float | None:
        """Probability of so large a gain over the default without any; None if it has none.

        Welch's test, one-sided, on :attr:`split`.
        """
        found = self.pair(candidate, key)
        return None if found is None else welch(found[0].values, found[1].values)

    def paired_p_value(self, candidate: Candidate, other: Candidate) -> float | None:
        """Probability of so large a gain over another candidate without any, seed by seed.

        The paired t-test, one-sided, of the scores on :attr:`split`; Welch's where the seeds of the
        complete trainings differ. None if there are too few.
        """
        scores = [
            {t.details.get("seed"): t.score_on(self.split) for t in c.complete}
            for c in (candidate, other)
        ]
        if any(value is None for of in scores for value in of.values()):
            return None
        seeds = [seed for seed in scores[0] if seed in scores[1]]
        if len(seeds) < max(map(len, scores)):
            own, theirs = self.score(candidate), self.score(other)
            return None if own is None or theirs is None else welch(own.values, theirs.values)
        return paired([scores[0][seed] or 0.0 for seed in seeds],
                      [scores[1][seed] or 0.0 for seed in seeds])  # fmt: skip

    @cached_property
    def holds(self) -> Candidate | None:
        """The candidate with the lowest mean score; None with several objectives or one seed."""
        known = [(s.mean, c) for c in self.candidates
                 if (s := self.score(c)) is not None and len(s.values) > 1]  # fmt: skip
        if len(known) < 2 or len(self.minimize) > 1:
            return None
        return min(known, key=lambda pair: pair[0])[1]

    @property
    def recommended(self) -> int | None:
        """Number of the trial to take: of longer trainings, the one that holds; None if unknown.

        Trainings as long as those of the search change no answer, they only say how sure it is.
        """
        return self.holds.number if self.length > 1 and self.holds is not None else self.best

    def holding(self, study: Study) -> Trial | None:
        """The trial that is recommended in place of the best of the search; None for no other."""
        number = self.recommended
        other = study.best is not None and number not in (None, study.best.number)
        return study[number] if other and number is not None else None

    @property
    def is_beyond_noise(self) -> bool | None:
        """Whether the best of the search beats the default: see :meth:`beats_default`."""
        return self.beats_default(self.others[0]) if self.others else None

    def beats_default(self, candidate: Candidate) -> bool | None:
        """Whether a candidate beats the default beyond the noise; None if that cannot be said.

        With several objectives: in one of them at least, all of them tested.
        """
        values = [p for key in self.minimize if (p := self.p_value(candidate, key)) is not None]
        return min(values) < SIGNIFICANCE / len(self.minimize) if values else None

    def choice_p_value(self, holds: Candidate, other: Candidate) -> float | None:
        """:meth:`paired_p_value` of the one that holds, which was chosen for its lowest mean.

        It was chosen among several, each of which had its chance.
        """
        p = self.paired_p_value(holds, other)
        return None if p is None else min(1.0, p * max(1, len(self.candidates) - 1))


def read_confirmation(study: Study) -> Confirmation | None:
    """Read the trainings that confirm a search, the longest ones; None if there are none.

    Args:
        study: The search.
    """
    repeats: dict[int, list[Trial]] = {}
    unreadable = []
    lengths = _by_length(study.folder / "confirm")
    length = max(lengths, default=1)
    for path in lengths.get(length, ()):
        try:
            trial = study.judge(Trial.read(path.parent))
            repeats.setdefault(trial.number, []).append(trial)
        except DamagedRecordError as error:
            unreadable.append(str(error))
    if not repeats:
        return None
    found = {trial.number: trial for trial in study if trial.number in repeats}
    order = {trial.number: rank for rank, trial in enumerate(study.ranked)}
    numbers = sorted(repeats, key=lambda n: (n != 0, order.get(n, math.inf), n))
    candidates = [
        Candidate(
            n, sorted(repeats[n], key=lambda t: int(t.details.get("seed") or 0)), found.get(n)
        )
        for n in numbers
    ]
    several = study.objective is not None and len(study.objective.minimize) > 1
    return Confirmation(
        study.folder,
        candidates,
        unreadable,
        minimize=study.objective.minimize if several and study.objective else ("score",),
        best=None if study.best is None else study.best.number,
        best_role=study.best_role,
        length=length,
    )


def _by_length(folder: Path) -> dict[int, list[Path]]:
    """The files of trainings that confirm a search, by how many times as long they were."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("*-seed*/trial.json")):
        tail = path.parent.name.partition("-x")[2]
        found.setdefault(int(tail) if tail.isdecimal() else 1, []).append(path)
    return found
