"""Weights as a Hydra experiment file of this program, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from sweep.config.stages import CONF_DIR, resolve_stages
from sweep.errors import InputError
from sweep.export.winner import Winner

__all__ = ["as_json", "hydra"]

# Groups whose mappings would mix with those of the file: another data set's heads, another family's
# keys, other terms and stages.
_REPLACED: dict[str, list[str] | None] = {"data": None, "model": None, "loss": [], "schedule": None}
_SWEEPER_GROUPS = ("sampler", "pruner")
_SWEEPER_KEYS = ("n_trials", "max_failure_rate", "n_jobs")


def hydra(winner: Winner) -> str:
    """An experiment file with the whole configuration of the trial, its weights as the defaults.

    Raises:
        InputError: if the trial's configuration is missing or gives other weights.
    """
    path = winner.trial.folder / ".hydra" / "config.yaml"
    if winner.config is None:
        raise InputError(f"{path}: cannot be read; an experiment file needs the configuration")
    _check_same_weights(winner, str(path))
    sweeper = winner.hydra.get("sweeper")
    sweeper = sweeper if isinstance(sweeper, Mapping) else {}
    defaults: list[dict[str, Any]] = [
        {f"override /{group}": option} for group, option in _REPLACED.items()
    ]
    choices = winner.hydra.get("runtime", {}).get("choices", {})
    for group in _SWEEPER_GROUPS:
        option = choices.get(f"hydra/sweeper/{group}")
        if option and (CONF_DIR / "hydra" / "sweeper" / group / f"{option}.yaml").exists():
            defaults.append({f"override /hydra/sweeper/{group}": option})
    params = sweeper.get("params") or {}
    settings = {key: sweeper[key] for key in _SWEEPER_KEYS if key in sweeper}
    settings["study_name"] = f"{winner.study}_from_{winner.number}"
    settings["params"] = params
    comments = [
        *winner.comments(),
        "Saved as DIR/experiment/NAME.yaml it trains with these weights:",
        "    python -m sweep --config-dir DIR +experiment=NAME",
        "and searches on from them, as trial 0, with -m after it.",
    ]
    lacking = [key for key in winner.trial.params if key not in params]
    if lacking:
        comments.append(f"Searched on the command line, not here: {', '.join(lacking)}")
    head = "# @package _global_\n" + "".join(f"# {line}\n" for line in comments)
    content = {"defaults": [*defaults, "_self_"], **winner.config, "hydra": {"sweeper": settings}}
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def as_json(winner: Winner) -> str:
    """All that the other forms are made from, for programs."""
    trial, details = winner.trial, winner.trial.details
    entries = {
        "study": winner.study,
        "trial": winner.number,
        "chosen_as": winner.chosen_as,
        **{key: getattr(trial, key) for key in ("state", "role", "score", "epoch")},
        **{key: details.get(key) for key in ("seed", "dtype")},
        "config_sha256": winner.config_hash,
        "git_commit": details.get("git_commit"),
        "versions": details.get("versions"),
        "params": trial.params,
        "metrics": trial.results,
        "stages": winner.stages,
    }
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _check_same_weights(winner: Winner, path: str) -> None:
    """What is exported must be what was trained."""
    config = winner.config or {}
    try:
        stages = resolve_stages(config["train_schedule"], config["loss"])
    except (KeyError, TypeError, InputError) as error:
        raise InputError(f"{path}: is not a configuration of this program ({error})") from error
    recorded = [stage.loss for stage in winner.trial.stages]
    if [stage.loss for stage in stages] != recorded:
        raise InputError(f"{path}: gives other weights than trial.json")
