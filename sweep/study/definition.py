"""What makes two runs of a command the same study: its search space and its configuration."""

from __future__ import annotations

import platform
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from sweep.config.trainers import OWN, trainer_kind
from sweep.config.weightings import HAVE_SHARES
from sweep.data.read.formats import content_digest
from sweep.errors import DamagedRecordError, InputError
from sweep.files import write_text
from sweep.locks import locked
from sweep.records.study_record import StudyRecord
from sweep.search.space import SearchSpace
from sweep.study.queue import TrialQueue
from sweep.study.storage import JOURNAL

__all__ = ["ADDED", "FREE", "changes", "check_folder", "claim_study", "definition", "differing"]

# Of a study's folder: which of the studies in a database is its own.
_IDENTITY = "study_id"

# They change where a training runs, not what it computes, or what happens after the search.
FREE = (
    "trainer.device",
    "trainer.num_threads",
    "trainer.timeout",
    "trainer.grace",
    "trainer.resume",
    "search.recipes",
    "search.stages",  # what it comes to stands in the search space and the schedule
    "search.confirm.top",
    "search.confirm.seeds",
    "search.confirm.length",
    "cache_dir",
)

ADDED = {
    "trainer.beta": 0.9,
    "trainer.beta_two": 0.999,
    "trainer.clip_median": None,
    "model.include_electrostatic_self_interaction": False,
    "trainer.patience": None,
    "trainer.eval_interval": 1,
}
"""Keys that came later, and what they were before."""

_SHARES = re.compile(r"train_schedule\.\d+\.shares")  # which later stages can have

# Of version 0.1: they changed what trial 1 trained, not what it was compared with.
_GONE = ("search.balance_epochs", "search.balance_prior")


def definition(cfg: DictConfig, space: SearchSpace) -> dict[str, Any]:
    """The definition of a study, flat, as stored with it.

    Args:
        cfg: The composed configuration of trial 0.
        space: The search space.
    """
    flat: dict[str, Any] = {}
    _flatten("", OmegaConf.to_container(cfg, resolve=False), flat)
    for key in (*FREE, *space.distributions):
        flat.pop(key, None)
    # Keys that were not there before there was a choice.
    if not cfg.loss_modules:
        del flat["loss_modules"]
    if flat.get("trainer.name") == OWN:
        del flat["trainer.name"]
    if trainer_kind(cfg).is_program:  # it has its own model
        flat = {key: value for key, value in flat.items() if key.partition(".")[0] != "model"}
    flat.pop("model.trust_file", None)
    start = flat.get("model.start_from")
    if start is None:
        flat.pop("model.start_from", None)
    elif (file := Path(start).expanduser()).is_file():
        flat["content of model.start_from"] = content_digest(file)[:16]
    for key, before in ADDED.items():
        if key in flat and flat[key] == before:
            del flat[key]
    flat = {key: v for key, v in flat.items() if not (_SHARES.fullmatch(key) and v is None)}
    flat.pop("search.auto", None)  # the space says what it came to
    # A recipe is in the weights, and who watches changes nothing.
    apart = ("recipe", "tracking")
    flat = {key: value for key, value in flat.items() if key.partition(".")[0] not in apart}
    if cfg.weighting.name == "fixed":
        flat = {key: value for key, value in flat.items() if not key.startswith("weighting.")}
    elif cfg.weighting.name in HAVE_SHARES and "weighting.name" not in space.distributions:
        for key in ("lr", "temperature", "mu"):  # younger than these weightings, which ignore them
            flat.pop(f"weighting.{key}", None)
    for name, head in cfg.heads.items():
        if not head.get("config_type_weights"):  # younger than the other keys
            flat.pop(f"heads.{name}.config_type_weights", None)
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
        check_folder(study, folder)
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


def check_folder(study: optuna.Study, folder: Path) -> None:
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
    """Write ``study.json`` where it is missing or damaged, or names what has changed since."""
    try:
        there = StudyRecord.read(folder)
    except DamagedRecordError:
        there = None
    if there is None:
        starts = [trial.datetime_start for trial in begun if trial.datetime_start is not None]
        created = min(starts).astimezone(UTC).isoformat(timespec="seconds") if starts else None
        (record if created is None else replace(record, created=created)).write(folder)
    elif (there.sampler, there.pruner, there.objective) != (
        record.sampler, record.pruner, record.objective
    ):  # fmt: skip
        replace(record, created=there.created).write(folder)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two definitions, in one line: see :func:`differing`."""
    return "; ".join(
        f"{key}: {before} -> {after}" for key, (before, after) in differing(old, new).items()
    )


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys of two definitions that differ, and both values.

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
    old = {key: value for key, value in old.items() if key not in _GONE}
    return {
        key: (old.get(key, "(none)"), new.get(key, "(none)"))
        for key in sorted({*old, *new})
        if old.get(key, "(none)") != new.get(key, "(none)")
        and not (f"content of {key}" in old and f"content of {key}" in new)
    }


def _flatten(prefix: str, node: Any, flat: dict[str, Any]) -> None:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), value, flat)
    else:
        flat[prefix] = node
