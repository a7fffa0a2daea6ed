"""From the folders on the command line to studies, or to a group of single trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sweep.errors import InputError
from sweep.records import Study, Trial
from sweep.records.feasibility import broken
from sweep.records.load import group, is_study, not_found

__all__ = ["SINGLE", "Source", "read_sources", "study_source", "usable"]

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

    study: Study
    labels: dict[Path, str] = field(default_factory=dict)
    baseline: Trial | None = None
    baseline_name: str = "the default weights"
    is_study: bool = True

    @cached_property
    def unranked(self) -> dict[str, str]:
        """Complete trials that are not ranked, by label, and why."""
        reasons = {self.label(trial): self.study.why_unranked(trial) for trial in self.study}
        return {label: reason for label, reason in reasons.items() if reason}

    @cached_property
    def broken(self) -> dict[str, dict[str, float]]:
        """The constraints that complete trials break, as multiples of the default's error."""
        default = self.study.default
        found = {}
        for trial in self.study.complete if default is not None else ():
            if default is not None and (names := broken(trial, default)):
                allowed = {} if trial.objective is None else trial.objective.constraints
                found[self.label(trial)] = {name: allowed[name] for name in names}
        return found

    @property
    def best(self) -> Trial | None:
        """The trial with the smallest score, of a search among those that keep its constraints."""
        return self.study.best

    @property
    def references(self) -> dict[str, Trial]:
        """The trials that others are compared with: of single trainings only the best."""
        return self.study.references

    @property
    def name(self) -> str:
        """What the study is called among those that are compared."""
        return self.study.name

    def label(self, trial: Trial) -> str:
        """What a trial is called."""
        return self.labels[trial.folder]

    def sentence_name(self, trial: Trial) -> str:
        """What a trial is called in a sentence."""
        return f"trial {self.label(trial)}" if self.is_study else self.label(trial)


def usable(folders: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The folders that hold a study or a trial, and why the others do not.

    Raises:
        InputError: if none does.
    """
    found = [path for path in folders if is_study(path) or (path / "trial.json").exists()]
    skipped = [not_found(path) for path in folders if path not in found]
    if not found:
        raise InputError(skipped[0])
    return found, skipped


def read_sources(
    folders: Sequence[Path], judge: Callable[[Study], Study] | None = None
) -> list[Source]:
    """Read studies, and single trials as one more group at the end.

    Args:
        folders: Folders of studies and trials.
        judge: Makes of a study the one that is shown, such as the same by other metrics.

    Raises:
        InputError: if a folder is not there or is neither.
    """
    judge = judge or (lambda study: study)
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    studies = [folder for folder in unique if is_study(folder)]
    single = [folder for folder in unique if folder not in studies]
    for path, folder in zip(folders, [folder.resolve() for folder in folders], strict=True):
        if folder in single and not (folder / "trial.json").exists():
            raise InputError(not_found(path))
    sources = [
        study_source(judge(Study.read(folder, name)))
        for folder, name in zip(studies, distinct_names(studies), strict=True)
    ]
    if single:
        sources.append(_single_source(single, judge))
    return sources


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of paths, as many as tell them apart."""
    depth = 1
    names = [folder.name for folder in folders]
    while len(set(names)) < len(folders):
        depth += 1
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
    return names


def study_source(study: Study) -> Source:
    """The trials of a study."""
    study.read_balances()
    labels = {trial.folder: str(trial.number) for trial in study}
    numbers = list(labels.values())
    for trial in study:  # a copied folder must not hide the original
        if numbers.count(labels[trial.folder]) > 1:
            labels[trial.folder] = f"{trial.number} ({trial.folder.name})"
    return Source(study, labels, study.default)


def _single_source(folders: Sequence[Path], judge: Callable[[Study], Study]) -> Source:
    study = judge(group(SINGLE, folders))
    trials = list(study)
    names = distinct_names([trial.folder for trial in trials])
    labels = {trial.folder: name for trial, name in zip(trials, names, strict=True)}
    first = trials[0] if trials and trials[0].is_complete else None
    return Source(
        study, labels, first, labels[first.folder] if first else "the first", is_study=False
    )
