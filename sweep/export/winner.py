"""The trial whose weights are taken home: which one, and what its folder tells about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import DamagedRecordError, InputError
from sweep.records.feasibility import best_of
from sweep.records.trial_json import read_trial_json

__all__ = ["Winner", "number_text", "select"]

_SHOWN_VERSIONS = ("mace-loss-sweep", "torch", "mace-torch", "graph-longrange", "optuna")


@dataclass(frozen=True)
class Winner:
    """A trial and its weights.

    Attributes:
        study: Name of the study.
        folder: The trial's folder.
        content: Its ``trial.json``, checked.
        chosen_as: Why this one, in words.
        config: Its composed configuration, None if there is no ``.hydra/config.yaml``.
        hydra: The ``hydra`` node that it was run with.
        config_hash: Start of the SHA-256 of its ``.hydra/config.yaml``.
    """

    study: str
    folder: Path
    content: dict[str, Any]
    chosen_as: str
    config: dict[str, Any] | None = None
    hydra: dict[str, Any] = field(default_factory=dict)
    config_hash: str | None = None

    @property
    def number(self) -> int:
        """Its number in the study."""
        return int(self.content["number"])

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The stages as ``trial.json`` has them, with the stage options of its configuration."""
        stages = [dict(stage) for stage in self.content["stages"]]
        schedule = (self.config or {}).get("train_schedule") or {}
        for index, stage in enumerate(stages):
            options = (schedule.get(str(index)) or {}).get("fixed_point_training_options")
            if options is not None:
                stage["fixed_point_training_options"] = options
        return stages

    def comments(self) -> list[str]:
        """Where the weights come from: study, trial, score, seed, configuration, versions."""
        content = self.content
        lines = [f"Weights of study {_line(self.study)}, trial {self.number}: {self.chosen_as}."]
        score = "none"
        if content.get("score") is not None:
            score = f"{content['score']:.6g} (validation)"
            test = content["metrics"].get("test", {}).get("score")
            score += f", {test:.6g} (test)" if test is not None else ""
        lines.append(f"score {score}; state {content['state']}; seed {content.get('seed')}")
        versions = content.get("versions")
        if isinstance(versions, Mapping):
            shown = [f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions]
            lines.append(_line(", ".join(shown)))
        commit = content.get("git_commit")
        lines.append(
            f"config sha256 {self.config_hash or 'unknown'}"
            + (f", git commit {_line(str(commit))}" if commit else "")
        )
        return lines


def select(study: Path, number: int | None) -> Winner:
    """Find the trial: the best of a study by validation score, or a given one.

    Args:
        study: Folder of a study, or of a single trial.
        number: Number of the trial; None: the one with the smallest score of all complete ones that
            keep the study's constraints.

    Raises:
        InputError: if there is no such trial, or its record cannot be read.
    """
    if not study.is_dir():
        raise InputError(f"{study}: no such folder")
    if (study / "trial.json").exists():
        content = _read(study / "trial.json")
        if number is not None and number != content["number"]:
            raise InputError(f"{study}: is trial {content['number']}; got --trial {number}")
        return _winner(study, content, "a single training")
    if not (study / "trials").is_dir():
        raise InputError(f"{study}: holds no study: it has neither trials/ nor a trial.json")
    if number is not None:
        return _by_number(study, number)
    complete = []
    for folder in sorted((study / "trials").iterdir()):
        try:
            content = read_trial_json(folder / "trial.json")
        except DamagedRecordError:
            continue
        if content["state"] == "COMPLETE":
            complete.append((folder, content))
    if not complete:
        raise InputError(f"{study}: no trial is complete yet; name one with --trial")
    best = best_of([content for _, content in complete])
    if best is None:
        raise InputError(
            f"{study}: no trial keeps all objective.constraints; name one with --trial"
        )
    folder, content = next(entry for entry in complete if entry[1] is best)
    return _winner(folder, content, f"the best of {len(complete)} complete trials", study)


def number_text(value: float) -> str:
    """A number that reads back as the same and can be told from an integer: ``100.0``."""
    return repr(float(value))


def _by_number(study: Path, number: int) -> Winner:
    folder = study / "trials" / f"{number:04d}"
    if not folder.is_dir():
        numbers = sorted(int(p.name) for p in (study / "trials").iterdir() if p.name.isdigit())
        held = f"trials {numbers[0]} to {numbers[-1]}" if numbers else "no trials"
        raise InputError(f"{study}: has no trial {number}; it holds {held}")
    return _winner(folder, _read(folder / "trial.json"), "chosen by its number", study)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_trial_json(path)
    except DamagedRecordError as error:
        raise InputError(str(error)) from error


def _winner(
    folder: Path, content: dict[str, Any], chosen_as: str, study: Path | None = None
) -> Winner:
    _check_stages(folder, content)
    name = (study or folder).resolve().name
    config, digest = _read_yaml(folder / ".hydra" / "config.yaml")
    hydra, _ = _read_yaml(folder / ".hydra" / "hydra.yaml")
    node = (hydra or {}).get("hydra")
    return Winner(
        study=name,
        folder=folder,
        content=content,
        chosen_as=chosen_as,
        config=config,
        hydra=node if isinstance(node, dict) else {},
        config_hash=digest,
    )


def _check_stages(folder: Path, content: Mapping[str, Any]) -> None:
    path = folder / "trial.json"
    if not content["stages"]:
        raise InputError(f"{path}: tells no stages")
    for index, stage in enumerate(content["stages"]):
        for key in ("name", "start", "end", "lr"):
            if key not in stage:
                raise InputError(f"{path}: stage {index} lacks '{key}'")


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


def _line(text: str) -> str:
    """Text on one line, so that it cannot leave its comment."""
    return " ".join(text.split())
