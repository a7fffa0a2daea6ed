"""Is the gain beyond the noise? The best trials and the default, trained again with other seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sweep.errors import DamagedRecordError
from sweep.files import write_json
from sweep.numbers import change, count, number
from sweep.records import State, Study, Trial
from sweep.report.names import SPLITS
from sweep.report.spread import MAX_SEEDS, SIGNIFICANCE, Spread, seeds_needed, welch

__all__ = ["Candidate", "Confirmation", "read_confirmation", "write_confirmation"]

_LUCK = 0.02  # relative difference of two scores that is worth a sentence


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
    """

    folder: Path
    candidates: list[Candidate]
    unreadable: list[str] = field(default_factory=list)

    @property
    def default(self) -> Candidate | None:
        """The default weights."""
        return self.candidate(0)

    def candidate(self, number: int) -> Candidate | None:
        """The candidate of a trial; None if it was not trained again."""
        return next((c for c in self.candidates if c.number == number), None)

    @property
    def others(self) -> list[Candidate]:
        """The best trials of the search, best first."""
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

    def p_value(self, candidate: Candidate) -> float | None:
        """Probability of so large a gain over the default without any; None if it has none.

        Welch's test, one-sided, of the scores on :attr:`split`.
        """
        default = self.default
        own = self.score(candidate)
        reference = None if default is None else self.score(default)
        if own is None or reference is None:
            return None
        return welch(own.values, reference.values)

    @property
    def is_beyond_noise(self) -> bool | None:
        """Whether the best of the search beats the default; None if that cannot be said."""
        p = self.p_value(self.others[0]) if self.others else None
        return None if p is None else p < SIGNIFICANCE

    @property
    def sentences(self) -> list[str]:
        """The answer in words."""
        told = [] if self.gain is None else [self.gain]
        told += [text for c in self.candidates[:2] if (text := self._luck(c))]
        told += self._better()
        told += [text for c in self.candidates if (text := self._unfinished(c))]
        told += [f"left out: {reason}" for reason in self.unreadable]
        return told

    @property
    def gain(self) -> str | None:
        """Whether the best of the search beats the default, and whether the seeds can show it."""
        if not self.others or self.default is None:
            return None
        return self._gain(self.others[0])

    def _gain(self, candidate: Candidate) -> str | None:
        assert self.default is not None
        own, reference = self.score(candidate), self.score(self.default)
        if own is None or reference is None:
            return None
        ratio = own.mean / reference.mean - 1 if reference.mean else 0.0
        n_seeds = count(min(len(own.values), len(reference.values)), "seed")
        name = f"trial {candidate.number}"
        numbers = (
            f"(score {own.text()} against {reference.text()} on the {SPLITS[self.split]} set, "
            f"{change(ratio)}, {n_seeds})"
        )
        if ratio >= 0:
            return f"{name} is no better than the default weights with other seeds {numbers}"
        p = self.p_value(candidate)
        if p is None:
            return f"{name} looks better than the default weights {numbers}: too few seeds are " \
                   "complete to tell it from noise"  # fmt: skip
        if p < SIGNIFICANCE:
            return f"{name} beats the default weights {numbers}: beyond the noise, p = {_p_text(p)}"
        needed = seeds_needed(own.values, reference.values)
        remedy = f"search.confirm.seeds={needed} would" if needed is not None else (
            f"nor would {MAX_SEEDS}, so take them as equal"
        )  # fmt: skip
        return (
            f"{name} looks better than the default weights {numbers}, but {n_seeds} cannot show it "
            f"(p = {_p_text(p)}): {remedy}"
        )

    def _luck(self, candidate: Candidate) -> str | None:
        """Whether the training in the search was better, or worse, than all with other seeds."""
        spread = candidate.spread("valid", "score")
        found = None if candidate.found is None else candidate.found.score
        if spread is None or found is None or abs(found / spread.mean - 1) < _LUCK:
            return None
        if not (
            found < min(spread.values) or (not candidate.number and found > max(spread.values))
        ):
            return None
        word = "lucky" if found < spread.mean else "unlucky"
        name = f"trial {candidate.number}" if candidate.number else "the default"
        return (
            f"{name} was {word} in the search: validation score {number(found)} there, "
            f"{spread.text()} with other seeds"
        )

    def _better(self) -> list[str]:
        """Whether another one is better on average than the best of the search."""
        scores = {c.number: s for c in self.others if (s := self.score(c)) is not None}
        if not self.others or self.others[0].number not in scores or len(scores) < 2:
            return []
        first = self.others[0].number
        best = min(scores, key=lambda n: scores[n].mean)
        if best == first:
            return []
        p = welch(scores[best].values, scores[first].values)
        noise = "" if p is None or p < SIGNIFICANCE else ", within the noise"
        return [
            f"trial {best} is better on average than trial {first}, the best of the search: "
            f"{scores[best].text()} against {scores[first].text()}{noise}"
        ]

    def _unfinished(self, candidate: Candidate) -> str | None:
        """How many trainings of a candidate are missing, and why; None if none is."""
        wanted = len({t.details.get("seed") for other in self.candidates for t in other.repeats})
        states = [trial.state for trial in candidate.repeats if not trial.is_complete]
        counts = [f"{states.count(s)} {s.lower()}" for s in dict.fromkeys(states)]
        if wanted > len(candidate.repeats):
            counts.append(f"{wanted - len(candidate.repeats)} not begun")
        if not counts:
            return None
        reasons = [trial.reason for trial in candidate.repeats if trial.state is State.FAILED]
        return (
            f"trial {candidate.number}: {len(candidate.complete)} of {wanted} trainings are "
            f"complete ({', '.join(counts)})" + (f": {reasons[-1]}" if any(reasons) else "")
        )


def read_confirmation(study: Study) -> Confirmation | None:
    """Read the trainings that confirm a search; None if there are none.

    Args:
        study: The search.
    """
    repeats: dict[int, list[Trial]] = {}
    unreadable = []
    for path in sorted((study.folder / "confirm").glob("*-seed*/trial.json")):
        try:
            trial = Trial.read(path.parent)
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
    return Confirmation(study.folder, candidates, unreadable)


def write_confirmation(confirmation: Confirmation) -> None:
    """Write ``confirmation.json`` in the study's folder."""
    first = confirmation.others[0] if confirmation.others else None
    write_json(
        confirmation.folder / "confirmation.json",
        {
            "split": confirmation.split,
            "trial": None if first is None else first.number,
            "p_value": None if first is None else confirmation.p_value(first),
            "beyond_noise": confirmation.is_beyond_noise,
            "sentences": confirmation.sentences,
            "candidates": [_entry(confirmation, c) for c in confirmation.candidates],
        },
    )


def _entry(confirmation: Confirmation, candidate: Candidate) -> dict[str, Any]:
    keys = {
        split: dict.fromkeys(k for t in candidate.complete for k in t.results.get(split, {}))
        for split in SPLITS
    }
    return {
        "trial": candidate.number,
        "score_in_search": None if candidate.found is None else candidate.found.score,
        "seeds": [trial.details.get("seed") for trial in candidate.repeats],
        "states": [trial.state for trial in candidate.repeats],
        "p_value": confirmation.p_value(candidate) if candidate.number else None,
        **{
            split: {
                key: {"mean": s.mean, "deviation": s.deviation, "values": s.values}
                for key in keys[split]
                if (s := candidate.spread(split, key)) is not None
            }
            for split in SPLITS
        },
    }


def _p_text(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1"
