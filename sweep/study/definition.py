"""What makes two runs of a command the same study: its search space and its configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError
from sweep.study.space import SearchSpace

__all__ = ["changes", "check_same", "definition"]

# They change where a training runs, not what it computes.
_FREE = ("trainer.device", "trainer.num_threads")


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
    for name, head in cfg.heads.items():
        for split in ("train", "valid", "test"):
            file = head[f"{split}_file"]
            if file is not None:
                flat[f"content of heads.{name}.{split}_file"] = _digest(file)
    defaults = {key: OmegaConf.select(cfg, key) for key in space.distributions}
    return {
        **{f"search {key}": text for key, text in space.describe().items()},
        **{f"default {key}": value for key, value in defaults.items()},
        **flat,
    }


def check_same(study: optuna.Study, new: Mapping[str, Any], folder: str) -> None:
    """Refuse to mix two definitions in one study.

    Raises:
        InputError: listing what differs.
    """
    old: Mapping[str, Any] | None = study.user_attrs.get("definition")
    if old is None or not study.get_trials(deepcopy=False):  # an attempt that began no trial
        study.set_user_attr("definition", dict(new))
        return
    if differ := changes(old, new):
        raise InputError(
            f"{folder}: holds a study with another definition ({differ}); give this one its own "
            "hydra.sweeper.study_name"
        )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two definitions, in one line."""
    return "; ".join(
        f"{key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
        for key in sorted({*old, *new})
        if old.get(key, "(none)") != new.get(key, "(none)")
    )


def _digest(file: str) -> str:
    """A short fingerprint: other data under the same name are other data."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _flatten(prefix: str, node: Any, flat: dict[str, Any]) -> None:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), value, flat)
    else:
        flat[prefix] = node
