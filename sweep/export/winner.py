"""The trial whose weights are taken home: which one, and what its folder tells about it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError
from sweep.export.moving import moving_lines
from sweep.files import read_json
from sweep.numbers import sentence
from sweep.records import Study, Trial, load_study
from sweep.records.trial import StageRecord
from sweep.records.trial_file import FILE

__all__ = ["Winner", "select"]

_SHOWN_VERSIONS = ("mace-loss-sweep", "torch", "mace-torch", "graph-longrange", "optuna")


@dataclass(frozen=True)
class Winner:
    """A trial and its weights.

    Attributes:
        study: Name of the study.
        trial: The trial.
        chosen_as: Why this one, in words.
        config: Its composed configuration, None if there is no ``.hydra/config.yaml``.
        hydra: The ``hydra`` node that it was run with.
        config_hash: Start of the SHA-256 of its ``.hydra/config.yaml``.
        moved: Of its study, the trial whose weights moved and of which there is a static copy.
        static: That copy: the same training with the fixed weights that it ended with.
        is_staged: Whether its stages are parts of those that it was trained in.
        caveat: What trainings with other seeds say against its weights.
    """

    study: str
    trial: Trial
    chosen_as: str
    config: dict[str, Any] | None = None
    hydra: dict[str, Any] = field(default_factory=dict)
    config_hash: str | None = None
    moved: Trial | None = None
    static: Trial | None = None
    is_staged: bool = False
    caveat: str | None = None

    @property
    def number(self) -> int:
        """Its number in the study."""
        return self.trial.number

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The stages as ``trial.json`` has them, with the stage options of its configuration."""
        stages = [stage.as_json() for stage in self.trial.stages]
        schedule = (self.config or {}).get("train_schedule") or {}
        for index, stage in enumerate(stages):
            options = (schedule.get(str(index)) or {}).get("fixed_point_training_options")
            if options is not None:
                stage["fixed_point_training_options"] = options
        return stages

    def comments(self, *, still_move: bool = False) -> list[str]:
        """Where the weights come from: study, trial, score, seed, configuration, versions.

        Args:
            still_move: Weights that followed the training do so in the file, too.
        """
        trial, details = self.trial, self.trial.details
        lines = [f"Weights of study {self.study}, trial {self.number}: {self.chosen_as}."]
        score = "none"
        if trial.score is not None:
            score = f"{trial.score:.6g} (validation)"
            test = trial.score_on("test")
            score += f", {test:.6g} (test)" if test is not None else ""
        lines.append(f"score {score}; state {trial.state}; seed {details.get('seed')}")
        if self.caveat is not None:
            lines.append(f"{sentence(self.caveat)}.")
        if isinstance(details.get("ended_early"), str):
            lines.append(f"The training {details['ended_early']}.")
        versions = details.get("versions")
        if isinstance(versions, Mapping):
            shown = [f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions]
            lines.append(", ".join(shown))
        if trial.weighting != "fixed" and still_move:
            lines.append(
                f"The weights followed the training (weighting={trial.weighting}) and do so here: "
                "those below are the configured ones, not those that they came to."
            )
        elif trial.weighting != "fixed":
            each = "part of a stage" if self.is_staged else "stage"
            lines.append(
                f"The weights followed the training (weighting={trial.weighting}). These are their "
                f"geometric means in each {each}: they carry the gain into trainings of this "
                "length, and less of it into longer ones."
            )
            lines += _retrained(self.moved, self.static)
            lines += moving_lines(trial)
        commit = details.get("git_commit")
        lines.append(
            f"config sha256 {self.config_hash or 'unknown'}"
            + (f", git commit {commit}" if commit else "")
        )
        return lines


def select(study: Path, number: int | None) -> Winner:
    """Find the trial: the answer of a study, or a given one.

    Args:
        study: Folder of a study, or of a single trial.
        number: Number of the trial; None: the one that longer trainings recommend, or else
            :attr:`sweep.records.Study.best`.

    Raises:
        InputError: if there is no such trial, or its record cannot be read.
    """
    found = load_study(study)
    if not found.is_search:
        (trial,) = found
        if number is not None and number != trial.number:
            raise InputError(f"{study}: is trial {trial.number}; got --trial {number}")
        return _winner(found, trial, "a single training")
    if number is not None:
        return _winner(found, _by_number(found, number), "chosen by its number")
    if not found.complete:
        raise InputError(f"{study}: no trial is complete yet; name one with --trial")
    if found.best is None:
        raise InputError(
            f"{study}: no trial keeps all objective.constraints"
            + (f"; --trial {found.blocked[0].number} takes the closest" if found.blocked else "")
        )
    confirmation = _confirmation(found)
    held, length = confirmation.get("recommended"), confirmation.get("length", 1)
    longer = isinstance(length, int) and length > 1
    if longer and isinstance(held, int) and held != found.best.number:
        return _winner(found, _by_number(found, held), f"it holds at {length} times the length")
    what = "the best" if found.best_role == "best" else "the knee of the front"
    chosen_as = f"{what} of {len(found.complete)} complete trials"
    return _winner(found, found.best, chosen_as)


def _confirmation(study: Study) -> Mapping[str, Any]:
    """What trainings with other seeds or of another length say; empty where there are none.

    Raises:
        InputError: if the file that tells cannot be read.
    """
    path = study.folder / "confirmation.json"
    if not path.exists():
        return {}
    try:
        return read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read ({error}); name a trial with --trial") from error


def _caveat(study: Study, number: int) -> str | None:
    """What trainings with other seeds say against a trial's weights; None for nothing."""
    try:
        candidates = _confirmation(study).get("candidates") if study.is_search else None
    except InputError:  # of a trial that was named; select has told everybody else
        return None
    for candidate in candidates if isinstance(candidates, list) else ():
        if isinstance(candidate, Mapping) and candidate.get("trial") == number:
            text = candidate.get("caveat")
            return text if isinstance(text, str) else None
    return None


def _by_number(study: Study, number: int) -> Trial:
    """A trial, or why it cannot be read."""
    for folder, reason in study.unreadable.items():
        if folder.name == f"{number:04d}":
            raise InputError(reason)
    return study[number]


def _winner(study: Study, trial: Trial, chosen_as: str) -> Winner:
    path = trial.folder / FILE
    if not trial.stages:
        raise InputError(f"{path}: tells no stages")
    for index, stage in enumerate(trial.stages):
        for key, value in stage.as_json().items():
            if value is None:
                raise InputError(f"{path}: stage {index} lacks '{key}'")
    config, digest = _read_yaml(trial.folder / ".hydra" / "config.yaml")
    hydra, _ = _read_yaml(trial.folder / ".hydra" / "hydra.yaml")
    schedule = (config or {}).get("train_schedule")
    entries = schedule.values() if isinstance(schedule, dict) else [schedule]
    if not all(entry is None or isinstance(entry, dict) for entry in entries):
        raise InputError(
            f"{trial.folder / '.hydra' / 'config.yaml'}: 'train_schedule' is no schedule"
        )
    node = (hydra or {}).get("hydra")
    moved, static = (
        each if each is not None and each.is_complete else None
        for each in (study.balanced, study.static)
    )
    return Winner(
        moved=moved if moved is not None and moved.weighting != "fixed" else None,
        static=static,
        caveat=_caveat(study, trial.number),
        study=study.name,
        trial=trial,
        chosen_as=chosen_as,
        config=config,
        hydra=node if isinstance(node, dict) else {},
        config_hash=digest,
    )


def _retrained(moved: Trial | None, static: Trial | None) -> list[str]:
    """How far a training with fixed weights was from the one whose weights moved."""
    if moved is None or static is None or not moved.score or static.score is None:
        return []
    percent = 100 * (static.score / moved.score - 1)
    how = f"{abs(percent):.0f} % {'worse' if percent > 0 else 'better'}"
    others = [
        own.name
        for own, copy in zip(moved.stages, static.stages, strict=False)
        if not (_are_close(own, copy) or _are_close(moved.stages[-1], copy))
    ]
    if others:  # as with search.stages=last
        return [
            f"No training had all of them fixed: trial {static.number} kept other weights in "
            f"{', '.join(map(str, others))}."
        ]
    return [
        f"Trial {static.number} trained anew with the fixed weights that trial {moved.number} "
        f"ended with: score {static.score:.4g} instead of {moved.score:.4g}, {how}."
    ]


def _are_close(own: StageRecord, copy: StageRecord) -> bool:
    """Whether two stages have the same weights, up to rounding."""
    return own.loss.keys() == copy.loss.keys() and all(
        math.isclose(term["weight"], copy.loss[name]["weight"], rel_tol=0.01)
        for name, term in own.loss.items()
    )


def _read_yaml(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """A YAML file and the start of its SHA-256, None and None if it cannot be read."""
    try:
        text = path.read_bytes()
        content = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, ValueError):
        return None, None
    if not isinstance(content, dict):
        return None, None
    return content, hashlib.sha256(text).hexdigest()[:16]
