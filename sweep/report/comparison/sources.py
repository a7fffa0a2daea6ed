"""From the folders on the command line to studies, or to a group of single trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sweep.errors import DamagedRecordError, InputError
from sweep.quantities import QUANTITIES
from sweep.records.feasibility import constraints_of, feasible, validation_errors, violations
from sweep.records.summary import StudySummary, TrialSummary, load_trial, summarise
from sweep.report.numbers import number

__all__ = ["SINGLE", "Source", "read_sources"]

SINGLE = "single trials"


@dataclass(frozen=True)
class Source:
    """Trials that are compared with each other.

    Attributes:
        study: The trials, of one study or single ones.
        labels: What each trial is called, by its folder: its number in a study, else its folder.
        baseline: The trial that changes refer to: the default weights of a study, the first of
            single trials; None if that one is not complete.
        baseline_name: What it is, in words.
        is_study: Whether the trials belong to one study.
    """

    study: StudySummary
    labels: dict[Path, str] = field(default_factory=dict)
    baseline: TrialSummary | None = None
    baseline_name: str = "the default weights"
    is_study: bool = True

    @cached_property
    def unranked(self) -> dict[str, str]:
        """Complete trials that are not ranked, by label, and why."""
        if not self.is_study:
            return {}
        kept = {id(content) for content in feasible([t.content for t in self.study.trials])}
        default = self.study.references.get("default")
        found = {}
        for trial in self.study.trials:
            if trial.state != "COMPLETE":
                continue
            if trial.content.get("same_as") is not None:
                found[self.label(trial)] = f"same weights as trial {trial.content['same_as']}"
            elif id(trial.content) not in kept and default is not None:
                found[self.label(trial)] = _broken(trial, default)
        return found

    @property
    def name(self) -> str:
        """What the study is called among those that are compared."""
        return self.study.name

    def label(self, trial: TrialSummary) -> str:
        """What a trial is called."""
        return self.labels[trial.folder]

    def sentence_name(self, trial: TrialSummary) -> str:
        """What a trial is called in a sentence."""
        return f"trial {self.label(trial)}" if self.is_study else self.label(trial)


def read_sources(folders: Sequence[Path]) -> list[Source]:
    """Read studies, and single trials as one more group at the end.

    Raises:
        InputError: if a folder is not there or is neither.
    """
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    studies = [folder for folder in unique if _is_study(folder)]
    single = [folder for folder in unique if folder not in studies]
    for given, folder in zip(folders, [folder.resolve() for folder in folders], strict=True):
        if folder in single and not (folder / "trial.json").exists():
            raise InputError(_not_found(given))
    sources = [
        _study_source(folder, name)
        for folder, name in zip(studies, distinct_names(studies), strict=True)
    ]
    if single:
        sources.append(_single_source(single))
    return sources


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of paths, as many as tell them apart."""
    depth = 1
    names = [folder.name for folder in folders]
    while len(set(names)) < len(folders):
        depth += 1
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
    return names


def _is_study(folder: Path) -> bool:
    return (folder / "trials").is_dir() or (folder / "study.journal").is_file()


def _not_found(given: Path) -> str:
    if not given.exists():
        return f"{given}: no such folder"
    if not given.is_dir():
        return f"{given}: not a folder; give the folder of a study or of a trial"
    inside = sorted(str(path) for path in given.glob("*") if _is_study(path)) if given else []
    hint = f"; did you mean {' or '.join(inside[:3])}?" if inside else ""
    return f"{given}: neither a study (no trials/ in it) nor a trial (no trial.json in it){hint}"


def _broken(trial: TrialSummary, default: TrialSummary) -> str:
    """Which constraints a trial breaks."""
    allowed = constraints_of(trial.content)
    excess = violations(
        validation_errors(trial.content), validation_errors(default.content), allowed
    )
    return "; ".join(
        f"{QUANTITIES[name].title} {number(value + allowed[name])} times the default's, at most "
        f"{allowed[name]:g} allowed"
        for name, value in excess.items()
        if value > 0
    )


def _study_source(folder: Path, name: str) -> Source:
    study = summarise(folder, name)
    labels = {trial.folder: str(trial.number) for trial in study.trials}
    numbers = list(labels.values())
    for trial in study.trials:  # a copied folder must not hide the original
        if numbers.count(labels[trial.folder]) > 1:
            labels[trial.folder] = f"{trial.number} ({trial.folder.name})"
    return Source(study, labels, study.references.get("default"))


def _single_source(folders: Sequence[Path]) -> Source:
    trials, unreadable = [], {}
    for folder in folders:
        try:
            trials.append(load_trial(folder))
        except DamagedRecordError as error:
            unreadable[folder] = str(error)
    names = distinct_names([trial.folder for trial in trials])
    labels = {trial.folder: name for trial, name in zip(trials, names, strict=True)}
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    best = {"best": min(complete, key=lambda trial: trial.score)} if complete else {}
    study = StudySummary(SINGLE, folders[0].parent, trials, best, unreadable)
    first = trials[0] if trials and trials[0].state == "COMPLETE" else None
    return Source(
        study, labels, first, labels[first.folder] if first else "the first", is_study=False
    )
