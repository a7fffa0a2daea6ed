"""Weights as a Hydra experiment file of this program, and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from sweep.config.schema import Config
from sweep.config.stages import CONF_DIR, resolve_stages
from sweep.config.trainers import TrainerKind, trainer_kind
from sweep.errors import InputError, unknown
from sweep.export.winner import Winner
from sweep.records.trial_file import shortened
from sweep.records.weights_file import comments, to_yaml

__all__ = ["as_json", "hydra"]

# Groups whose mappings would mix with those of the file: another data set's heads, another family's
# keys, other terms and stages.
_REPLACED: dict[str, list[str] | None] = {"data": None, "model": None, "loss": [], "schedule": None}
_SWEEPER_GROUPS = ("sampler", "pruner")
_SWEEPER_KEYS = ("n_trials", "max_failure_rate", "n_jobs")
# A searched key is a path in the configuration of a training. One of the hydra node, a group of it
# or a package would be able to start commands: setup of a launcher, factories of the logging.
_SEARCHED = re.compile(r"(?!hydra\b)[\w-]+(\.[\w-]+)*")


def hydra(winner: Winner) -> str:
    """An experiment file with the whole configuration of the trial, its weights as the defaults.

    Raises:
        InputError: if the trial's configuration is missing, gives other weights or sets what is no
            part of a training: it may come from someone else.
    """
    path = winner.trial.folder / ".hydra" / "config.yaml"
    if winner.config is None:
        raise InputError(f"{path}: cannot be read; an experiment file needs the configuration")
    _check_keys(winner.config, str(path))
    _check_same_weights(winner, str(path))
    settings, params = _sweeper(winner)
    trainer = _trainer(winner.config, str(path))
    defaults: list[dict[str, Any]] = [
        {f"override /{group}": option}
        for group, option in {**_REPLACED, "trainer": trainer.option}.items()
    ]
    choices = _mapping(_mapping(winner.hydra, "runtime"), "choices")
    for group in _SWEEPER_GROUPS:
        option = choices.get(f"hydra/sweeper/{group}")
        shipped = (CONF_DIR / "hydra" / "sweeper" / group).glob("*.yaml")
        if option in [path.stem for path in shipped]:
            defaults.append({f"override /hydra/sweeper/{group}": option})
    settings["study_name"] = f"{winner.study}_from_{winner.number}"
    settings["params"] = params
    moves = winner.trial.weighting != "fixed" and not winner.is_staged
    how = "as that trial did" if moves else "with these weights"
    remarks = [
        *winner.comments(still_move=moves),
        f"Saved as DIR/experiment/NAME.yaml it trains {how}:",
        "    python -m sweep --config-dir DIR +experiment=NAME",
    ]
    if winner.is_staged:  # what was searched is not in it any more
        settings["params"] = {}
    elif moves:
        remarks.append("and searches with -m after it; this training is trial 1 then.")
    else:
        remarks.append("and searches on from them, as trial 0, with -m after it.")
    searches_all = winner.is_staged or _mapping(winner.config, "search").get("auto") is not None
    lacking = [] if searches_all else [key for key in winner.trial.params if key not in params]
    if lacking:
        remarks.append(f"Searched on the command line, not here: {', '.join(lacking)}")
    head = comments(["@package _global_", *remarks])
    content = {"defaults": [*defaults, "_self_"], **winner.config, "hydra": {"sweeper": settings}}
    return head + to_yaml(content)


def as_json(winner: Winner) -> str:
    """All that the other forms are made from, for programs."""
    trial, details = winner.trial, winner.trial.details
    entries = {
        "study": winner.study,
        "trial": winner.number,
        "chosen_as": winner.chosen_as,
        "caveat": winner.caveat,
        **{key: getattr(trial, key) for key in ("state", "role", "score", "epoch")},
        **{key: details.get(key) for key in ("seed", "dtype")},
        "config_sha256": winner.config_hash,
        "git_commit": details.get("git_commit"),
        "versions": details.get("versions"),
        "params": trial.params,
        "metrics": trial.results,
        "stages": winner.stages,
    }
    try:
        return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:  # dates and the like, in a file made by other hands
        raise InputError(f"{trial.folder}: cannot be written as JSON ({error})") from error


def _check_keys(config: Mapping[Any, Any], path: str) -> None:
    """Keys of the configuration of a training, no ``defaults`` and no ``hydra`` among them."""
    known = [field.name for field in dataclasses.fields(Config)]
    for key in config:
        if key not in known:
            raise InputError(unknown("key", str(key), known, where=path))


def _sweeper(winner: Winner) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the sweeper and the search space, as far as they are of the right type."""
    path = winner.trial.folder / ".hydra" / "hydra.yaml"
    sweeper = _mapping(winner.hydra, "sweeper")
    settings = {key: sweeper[key] for key in _SWEEPER_KEYS if key in sweeper}
    for key, value in settings.items():
        if not (value is None or type(value) in (int, float)):
            raise InputError(f"{path}: '{key}' is {shortened(value)}, expected a number")
    params = _mapping(sweeper, "params")
    for key, value in params.items():
        if not (isinstance(key, str) and _SEARCHED.fullmatch(key)):
            raise InputError(f"{path}: {shortened(key)} is no key that can be searched")
        if not isinstance(value, str | int | float | None):
            raise InputError(f"{path}: '{key}' is {shortened(value)}, expected a text")
    return settings, dict(params)


def _trainer(config: Mapping[str, Any], path: str) -> TrainerKind:
    """The trainer of a configuration, our own in those of version 0.1."""
    if not isinstance(config.get("trainer", {}), Mapping):
        raise InputError(f"{path}: 'trainer' is {shortened(config['trainer'])}, expected keys")
    return trainer_kind(config)


def _mapping(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key, an empty one if there is none."""
    found = node.get(key)
    return found if isinstance(found, Mapping) else {}


def _check_same_weights(winner: Winner, path: str) -> None:
    """What is exported must be what was trained."""
    config = winner.config or {}
    # Weights that move begin with those of the configuration; terms of one's own are not imported
    # for this, as a study may come from someone else.
    if winner.trial.weighting != "fixed" or config.get("loss_modules"):
        return
    try:
        own_terms = not _trainer(config, path).is_program
        stages = resolve_stages(config["train_schedule"], config["loss"], own_terms=own_terms)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a configuration of this program ({error})") from error
    recorded = [stage.loss for stage in winner.trial.stages]
    if [stage.loss for stage in stages] != recorded:
        raise InputError(f"{path}: gives other weights than trial.json")
