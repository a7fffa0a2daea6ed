"""The trial whose weights are taken home: which one, and what its folder tells about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError
from sweep.records import Study, Trial, load_study
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
    """

    study: str
    trial: Trial
    chosen_as: str
    config: dict[str, Any] | None = None
    hydra: dict[str, Any] = field(default_factory=dict)
    config_hash: str | None = None

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

    def comments(self) -> list[str]:
        """Where the weights come from: study, trial, score, seed, configuration, versions."""
        trial, details = self.trial, self.trial.details
        lines = [f"Weights of study {self.study}, trial {self.number}: {self.chosen_as}."]
        score = "none"
        if trial.score is not None:
            score = f"{trial.score:.6g} (validation)"
            test = trial.score_on("test")
            score += f", {test:.6g} (test)" if test is not None else ""
        lines.append(f"score {score}; state {trial.state}; seed {details.get('seed')}")
        versions = details.get("versions")
        if isinstance(versions, Mapping):
            shown = [f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions]
            lines.append(", ".join(shown))
        if trial.weighting != "fixed":
            lines.append(
                f"The weights followed the training (weighting={trial.weighting}). These are their "
                "geometric means in each stage: fixed weights do not carry all of what moving ones "
                "gain, the less the longer the training. To have them move elsewhere, too: "
                "losses.GradientShares, docs/training.md."
            )
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
        number: Number of the trial; None: :attr:`sweep.records.Study.best`.

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
    what = "the best" if found.best_role == "best" else "the knee of the front"
    chosen_as = f"{what} of {len(found.complete)} complete trials"
    return _winner(found, found.best, chosen_as)


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
    return Winner(
        study=study.name,
        trial=trial,
        chosen_as=chosen_as,
        config=config,
        hydra=node if isinstance(node, dict) else {},
        config_hash=digest,
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
