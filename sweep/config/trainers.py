"""The trainers that ``trainer.name`` can name, and what each of them is. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from sweep.config.schema import (
    CommandConfig,
    MaceRunTrainConfig,
    MaceScfConfig,
    TrainerConfig,
)
from sweep.errors import InputError, unknown

__all__ = ["OWN", "TRAINERS", "TrainerKind", "check_settings", "moves_weights", "trainer_kind"]

OWN = "own"


@dataclass(frozen=True)
class TrainerKind:
    """What the rest of the program must know of a trainer.

    Attributes:
        settings: Dataclass of the keys of ``trainer``; all have ``name``, ``device`` and
            ``num_threads``.
        option: The option of the group ``trainer`` that chooses it.
        is_program: Another program trains: model and data are its own.
        own_terms: The terms of its loss are those of :mod:`losses`, with their options.
        moves_weights: Whether weights can follow the training (``weighting``) in it.
    """

    settings: type
    option: str
    is_program: bool = False
    own_terms: bool = True
    moves_weights: bool = True


TRAINERS = {
    OWN: TrainerKind(TrainerConfig, "default"),
    "command": TrainerKind(
        CommandConfig, "command", is_program=True, own_terms=False, moves_weights=False
    ),
    "mace_run_train": TrainerKind(MaceRunTrainConfig, "mace_run_train", is_program=True),
    "mace_scf": TrainerKind(
        MaceScfConfig, "mace_scf", is_program=True, own_terms=False, moves_weights=False
    ),
}


def moves_weights(cfg: DictConfig) -> bool:
    """Whether weights can follow the training in the configured trainer.

    In ``mace_run_train`` they can where our terms are its loss.
    """
    return trainer_kind(cfg).moves_weights and cfg.trainer.get("losses", "own") == "own"


def trainer_kind(cfg: DictConfig | Mapping[str, Any]) -> TrainerKind:
    """The kind of the trainer that a configuration names; our own where it names none.

    Raises:
        InputError: if there is no such trainer.
    """
    trainer = cfg.get("trainer") or {}
    name = trainer.get("name", OWN)
    if name not in TRAINERS:
        raise InputError(unknown("trainer", str(name), TRAINERS, where="trainer.name"))
    return TRAINERS[name]


def check_settings(trainer: Mapping[str, Any], kind: TrainerKind) -> None:
    """Check that the keys of ``trainer`` are known and of their types.

    Args:
        trainer: The resolved node.
        kind: The trainer.

    Raises:
        InputError: naming the key.
    """
    schema = OmegaConf.structured(kind.settings)
    try:
        OmegaConf.merge(schema, dict(trainer))
    except (ConfigKeyError, ConfigAttributeError) as error:
        raise InputError(
            unknown("key", str(error.key), map(str, schema), where=f"trainer.{error.key}")
        ) from error
    except OmegaConfBaseException as error:
        text = str(error.msg).splitlines()[0]
        raise InputError(f"trainer.{error.full_key}: {text}") from error
