"""What makes two runs of a command the same study: its search space and its configuration."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from sweep.data.read.formats import content_digest
from sweep.errors import DamagedRecordError, InputError
from sweep.files import write_text
from sweep.locks import locked
from sweep.records.study_record import StudyRecord
from sweep.search.space import SearchSpace
from sweep.study.queue import TrialQueue
from sweep.study.storage import JOURNAL

__all__ = ["changes", "claim_study", "definition"]

# Of a study's folder: which of the studies in a database is its own.
_IDENTITY = "study_id"

# They change where a training runs, not what it computes, or what happens after the search.
_FREE = (
    "trainer.device",
    "trainer.num_threads",
    "search.confirm.top",
    "search.confirm.seeds",
    "cache_dir",
)


def definition(cfg: DictConfig, space: SearchSpace) -> dict[str, Any]:
    """The definition of a study, flat, as stored with it.

    Args:
        cfg: The composed configuration of trial 0.
        space: The search space.
    """
    flat: dict[str, Any] = {}
    _flatten("", OmegaConf.to_container(cfg, resolve=False), flat)
    for key in (*_FREE, *space.distributions):
        flat.pop(key, None)
    # Keys that were not there before there was a choice.
    if not cfg.loss_modules:
        del flat["loss_modules"]
    flat.pop("search.auto", None)  # the space says what it came to
    if cfg.weighting.name == "fixed":
        flat = {key: value for key, value in flat.items() if not key.startswith("weighting.")}
    for name, head in cfg.heads.items():
        for split in ("train", "valid", "test"):
            file = head[f"{split}_file"]
            if file is not None:
                flat[f"content of heads.{name}.{split}_file"] = content_digest(file)[:16]
    return {
        **{f"search {key}": text for key, text in space.describe().items()},
        **{f"default {key}": value for key, value in space.defaults(cfg).items()},
        **flat,
    }


def claim_study(queue: TrialQueue, record: StudyRecord, folder: Path, *, alone: bool) -> bool:
    """Refuse to mix two definitions in one study, or two folders in one study of a database.

    ``study.json`` is written when the study begins, or when one that lacks it goes on.

    Args:
        queue: The study's trials.
        record: The study of whoever asks.
        folder: Folder of the study.
        alone: Nobody else has the study open.

    Returns:
        Whether it is theirs. If not, it is an attempt with another definition that began no trial:
        it shall be discarded.

    Raises:
        InputError: listing what differs.
    """
    study, new = queue.study, record.definition
    with locked(queue.lock_path):
        _check_folder(study, folder)
        old: Mapping[str, Any] | None = study.user_attrs.get("definition")
        if old is None:
            study.set_user_attr("definition", dict(new))
            record.write(folder)
            return True
        differ = changes(old, new)
        begun = [trial for trial in queue.trials() if trial.state != TrialState.WAITING]
        if differ and alone and not begun:
            return False
        if not differ:
            _update_record(record, folder, begun)
    if differ:
        raise InputError(
            f"{folder}: holds a study with another definition ({differ}); give this one its own "
            "hydra.sweeper.study_name"
        )
    return True


def _check_folder(study: optuna.Study, folder: Path) -> None:
    """Make sure that the study of a storage belongs to this folder.

    A journal lies in the folder itself, so that whatever it holds belongs there.
    """
    own = folder / _IDENTITY
    there = study.user_attrs.get("folder")
    if not own.exists():
        before = folder / "locks" / "study_id"  # where version 0.1 kept it
        if before.exists():
            write_text(own, before.read_text(encoding="utf-8"))
        elif there is not None and (folder / JOURNAL).exists():
            write_text(own, there)
        else:
            write_text(own, f"{uuid.uuid4()} {platform.node()}:{folder.resolve()}")
    here = own.read_text(encoding="utf-8")
    if there is None:
        study.set_user_attr("folder", here)
    elif there.partition(" ")[0] != here.partition(" ")[0]:
        raise InputError(
            f"hydra.sweeper.storage: holds a study '{study.study_name}' of another folder "
            f"({there.partition(' ')[2]}); give this one its own hydra.sweeper.study_name"
        )


def _update_record(record: StudyRecord, folder: Path, begun: Sequence[FrozenTrial]) -> None:
    """Write ``study.json`` where it is missing or damaged, or names another sampler or pruner."""
    try:
        there = StudyRecord.read(folder)
    except DamagedRecordError:
        there = None
    if there is None:
        starts = [trial.datetime_start for trial in begun if trial.datetime_start is not None]
        created = min(starts).astimezone(UTC).isoformat(timespec="seconds") if starts else None
        (record if created is None else replace(record, created=created)).write(folder)
    elif (there.sampler, there.pruner) != (record.sampler, record.pruner):
        replace(record, created=there.created).write(folder)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two definitions, in one line.

    Where the content of a data file is known, its path does not matter.
    """
    if "split_seed" not in old:  # version 0.1 split by the seed
        split = any(
            key.endswith(".train_file") and f"{key.removesuffix('train_file')}valid_file" not in new
            for key in new
            if key.startswith("content of ")
        )
        before = old.get("seed", old.get("default seed", "(none)"))
        old = {**old, "split_seed": before if split else new.get("split_seed", "(none)")}
    return "; ".join(
        f"{key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
        for key in sorted({*old, *new})
        if old.get(key, "(none)") != new.get(key, "(none)")
        and not (f"content of {key}" in old and f"content of {key}" in new)
    )


def _flatten(prefix: str, node: Any, flat: dict[str, Any]) -> None:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), value, flat)
    else:
        flat[prefix] = node
