"""Names that users of mace, MACE_SCF and Optuna would type, and what they are called here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import yaml

from sweep.config.schema import HeadConfig, TrainerConfig
from sweep.errors import InputError
from sweep.models.settings import BackboneConfig

__all__ = ["flag_words", "own_name", "run_names", "take_word"]

_EPOCHS = "train_schedule.0.end=99 (the last epoch of a stage, counted from 0)"
_STAGES = "a second stage: schedule=two_stages"
_OWN = {
    **dict.fromkeys(("max_num_epochs", "num_epochs", "n_epochs", "epochs", "max_epochs"), _EPOCHS),
    **dict.fromkeys(("swa", "start_swa", "swa_lr", "stage_two", "start_stage_two"), _STAGES),
    **dict.fromkeys(("lr", "learning_rate"), "train_schedule.0.lr"),
    **{
        name: f"hydra.sweeper.{name}"
        for name in ("n_trials", "n_jobs", "study_name", "storage", "dashboard", "workers_per_gpu")
    },
    "sampler": "hydra/sweeper/sampler=tpe",
    "pruner": "hydra/sweeper/pruner=median",
    "launcher": "hydra/launcher=submitit_slurm",
    "name": "fit_name, or hydra.sweeper.study_name for a study",
    "config": "from_mace_scf=FILE for one of MACE_SCF, or --config-dir DIR +experiment=NAME",
    "work_dir": "hydra.run.dir, or hydra.sweep.dir for a study",
    "energy_weight": "loss.energy_per_atom.weight",
    "forces_weight": "loss.forces.weight",
    "stress_weight": "loss.stress.weight",
    "dipole_weight": "loss.dipole_per_atom.weight",
    "charges_weight": "loss.atomic_multipoles.weight",
    "energy_key": "heads.default.info_keys.energy with data=extxyz",
    "forces_key": "heads.default.arrays_keys.forces with data=extxyz",
    "stress_key": "heads.default.info_keys.stress with data=extxyz",
    "dipole_key": "heads.default.info_keys.dipole with data=extxyz",
    "hidden_irreps": "model.num_channels and model.max_L (64 and 1 are 64x0e + 64x1o)",
    "charges_key": "heads.default.arrays_keys.atomic_multipoles with data=extxyz",
}


def own_name(name: str) -> str | None:
    """What a key of another program is called here; None if it is none of theirs that we know.

    Args:
        name: A key without dots, such as ``max_num_epochs``.
    """
    if name in _OWN:
        return _OWN[name]
    if name in {field.name for field in fields(TrainerConfig)}:
        return f"trainer.{name}"
    if name in {field.name for field in fields(HeadConfig)}:
        return f"heads.default.{name} with data=extxyz"
    if name in {field.name for field in fields(BackboneConfig)}:
        return f"model.{name}"
    return None


def run_names(name: object, otherwise: str) -> dict[str, Any]:
    """The name of a run in another program as the names of our log and study.

    Args:
        name: The name; signs that a folder should not have become ``_``.
        otherwise: What is taken if nothing of it is left.
    """
    own = re.sub(r"[^\w.+-]", "_", str(name)).lstrip(".") or otherwise
    return {"fit_name": own, "hydra": {"sweeper": {"study_name": own}}}


def take_word(words: Sequence[str], key: str) -> tuple[str | None, list[str]]:
    """The value of a word as it is, which Hydra's grammar could not read, and the other words.

    Raises:
        InputError: if the key stands twice.
    """
    found = [word for word in words if re.match(rf"\+{{0,2}}{re.escape(key)}=", word)]
    if len(found) > 1:
        raise InputError(f"{key}: stands twice")
    if not found:
        return None, list(words)
    value = found[0].partition("=")[2].strip()
    if (
        len(value) > 1
        and value[0] == value[-1]
        and value[0] in "'\""
        and value[0] not in value[1:-1]
    ):
        value = value[1:-1]
    return value, [word for word in words if word != found[0]]


def flag_words(text: str, key: str) -> list[str]:
    """The flags of a text as a shell divides it, or of a list, as Hydra would read it.

    Args:
        text: Such as ``--r_max 5 --ema`` or ``[--r_max=5,--ema]``.
        key: Where it stands.

    Raises:
        InputError: if it cannot be divided.
    """
    try:
        if text.startswith("["):
            found = yaml.safe_load(text)
            if isinstance(found, list):
                return [str(word) for word in found]
        return shlex.split(text.replace("\\\n", " "))  # pasted from a script
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{key}: {str(error).splitlines()[0]}: {text}") from error
