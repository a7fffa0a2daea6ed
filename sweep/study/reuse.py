"""Trainings of other studies that need not be trained again: what determined them is the same.

What they were judged by may differ: like the trials of a study that goes on under another
objective, they are judged again, at the epoch that their own objective took. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sweep.config.checks import stages_of
from sweep.config.schema import Config
from sweep.data.read.formats import content_digest
from sweep.errors import DamagedRecordError, InputError, SweepError
from sweep.locks import locked
from sweep.records import Trial
from sweep.records.judging import by_objective
from sweep.records.load import is_study, not_found
from sweep.records.study_record import StudyRecord
from sweep.study.composition import Composer
from sweep.study.definition import ADDED, FREE, definition
from sweep.study.queue import TrialQueue
from sweep.study.references import BALANCED
from sweep.study.spec import StudySpec, without_hydra

__all__ = ["Reusable", "check_reuse", "enqueue_reusable"]

REUSES = "reuses"  # user attribute of a trial: the folder whose records it shall take over
_CONTENT = "content of "
# They name, choose or watch, and change no training; the objective chooses an epoch.
_NAMES = ("fit_name", "search", "objective", "tracking")


def check_reuse(spec: StudySpec) -> None:
    """Make sure that there are studies where they shall be.

    Raises:
        InputError: naming the folder, and what is wrong with it.
    """
    for folder in spec.reuse:
        where = f"hydra.sweeper.reuse={folder}"
        if not is_study(folder):
            raise InputError(f"{where}: {not_found(folder)}")
        if folder.resolve() == spec.folder.resolve():
            raise InputError(f"{where}: is the folder of this study itself")
        if _contents(folder) is None:
            raise InputError(
                f"{where}: has no study.json with the content of its data files, so it is not "
                "known what its trials were trained on"
            )


class Reusable:
    """The complete trials of other studies, by all that determined their training.

    Args:
        spec: The study that may take them over.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._objective = spec.objective
        self._contents = {
            key: value
            for key, value in (definition(spec.base, spec.space) if spec.reuse else {}).items()
            if key.startswith(_CONTENT)
        }
        self.found: dict[str, tuple[Trial, DictConfig]] = {}
        for folder in spec.reuse:
            contents = _contents(folder) or {}
            for trial, cfg in _trials(folder):
                start = trial.details.get("start_from") or {}
                key = self._key(cfg, contents, start.get("digest"))
                if key is not None and by_objective(trial, spec.objective).is_complete:
                    self.found.setdefault(key, (trial, cfg))

    def folder_for(self, cfg: DictConfig) -> Path | None:
        """The folder of a trial that was trained as this configuration says; None if none was."""
        if not self.found:
            return None
        key = self.key(cfg)
        return self.found[key][0].folder if key in self.found else None

    def key(self, cfg: DictConfig) -> str | None:
        """All that determines a training of this study, as a text."""
        return self._key(cfg, self._contents)

    def _key(
        self, cfg: DictConfig, contents: Mapping[str, Any], start: str | None = None
    ) -> str | None:
        """None for a configuration of another version that cannot be read.

        Args:
            cfg: The configuration.
            contents: Digests of the data files.
            start: Digest of the file that the model began with, where recorded.
        """
        try:
            whole = OmegaConf.merge(OmegaConf.structured(Config), cfg)
            plain: Any = OmegaConf.to_container(whole, resolve=True)
            stages = stages_of(DictConfig(whole))
        except (OmegaConfBaseException, SweepError, KeyError, TypeError, ValueError):
            return None
        judged = {"epoch": plain["objective"]["epoch"]}
        moves = plain["weighting"]["name"] != "fixed"
        if not moves:
            plain["weighting"] = {"name": "fixed"}
        # The score ends a training that has a patience; where weights move, it lowers the learning
        # rate, since the loss tells nothing of the model.
        if moves or plain["trainer"].get("patience") is not None:
            judged |= {key: plain["objective"][key] for key in ("metrics", "statistic")}
        for key in (*FREE, *_NAMES, "recipe", "loss", "train_schedule"):
            _remove(plain, key)
        for head in plain["heads"].values():
            for split in ("train", "valid", "test"):
                head[f"{split}_file"] = head[f"{split}_file"] is not None
        for key, before in ADDED.items():
            if OmegaConf.select(whole, key) == before:
                _remove(plain, key)
        _name_start(plain["model"], start)
        found = {
            **plain,
            "judged": judged,
            "contents": dict(contents),
            "stages": [
                [s.start, s.end, s.lr, s.loss, s.options]
                + ([s.shares] if s.shares and plain["weighting"]["name"] != "fixed" else [])
                for s in stages
            ],
        }
        return json.dumps(_numbers_alike(found), sort_keys=True, default=str)


def enqueue_reusable(spec: StudySpec, queue: TrialQueue) -> int:
    """Let trials of the study be those of others that lie in its search space.

    The default needs no trial of its own: trial 0 takes it over.

    Returns:
        How many trials were added now.

    Raises:
        InputError: see :func:`check_reuse`.
    """
    if not spec.reuse:
        return 0
    reusable = Reusable(spec)
    composer = Composer(spec.template, spec.space, spec.name)
    with locked(queue.lock_path):
        trials = queue.trials()
        there = {trial.user_attrs.get(REUSES) for trial in trials}
        keys = {reusable.key(spec.base)}
        n_added = 0
        for key, (trial, cfg) in reusable.found.items():
            source = str(trial.folder.resolve())
            if source in there or key in keys or trial.role == BALANCED:
                continue
            if len(trials) + n_added >= spec.n_trials:
                break
            try:
                params = spec.space.defaults(cfg)
                own = composer.compose(params, "trials/reused", 0)
            except (InputError, OmegaConfBaseException):
                continue  # not in this search space
            if reusable.key(without_hydra(own)) == key:
                queue.study.enqueue_trial(params, user_attrs={REUSES: source})
                n_added += 1
    return n_added


def _trials(study: Path) -> Iterator[tuple[Trial, DictConfig]]:
    """The complete trials of a study and its confirmation, and their configurations."""
    for folder in (*sorted(study.glob("trials/*")), *sorted(study.glob("confirm/*-seed*"))):
        try:
            trial = Trial.read(folder)
            if not trial.is_complete or trial.same_as is not None:
                continue
            cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
        except (DamagedRecordError, OSError, YAMLError, OmegaConfBaseException):
            continue
        if isinstance(cfg, DictConfig):
            yield trial, cfg


def _contents(study: Path) -> dict[str, Any] | None:
    """The content of the data files of a study, as digests; None if it is not recorded."""
    try:
        record = StudyRecord.read(study)
    except DamagedRecordError:
        return None
    found = {} if record is None else record.definition
    return {key: v for key, v in found.items() if key.startswith(_CONTENT)} or None


def _name_start(model: Any, digest: str | None) -> None:
    """Say by its content, not its path, what a model begins with; versions before had no choice."""
    path = model.pop("start_from", None) if isinstance(model, dict) else None
    if path is not None:
        file = Path(path).expanduser()
        model["start_from"] = digest or (content_digest(file) if file.is_file() else path)
    if isinstance(model, dict):
        model.pop("trust_file", None)


def _remove(plain: dict[str, Any], key: str) -> None:
    *parts, last = key.split(".")
    for part in parts:
        plain = plain.get(part) or {}
    plain.pop(last, None)


def _numbers_alike(value: Any) -> Any:
    """3 and 3.0 are the same."""
    if isinstance(value, dict):
        return {str(key): _numbers_alike(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_alike(item) for item in value]
    return float(value) if type(value) is int else value
