"""Every check of a configuration that needs no data and no torch, and the error messages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    KeyValidationError,
    OmegaConfBaseException,
)

from sweep.config import Config
from sweep.errors import InputError, unknown
from sweep.models.settings import FAMILIES, LocalChargesConfig, check_settings
from sweep.quantities import QUANTITIES
from sweep.schedule import Stage, resolve_stages

__all__ = ["check_config", "model_settings", "omegaconf_message"]

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "trainer.optimizer": ("adam", "adamw"),
    "trainer.scheduler": ("ReduceLROnPlateau", "ExponentialLR", None),
    "trainer.default_dtype": ("float32", "float64"),
    "objective.statistic": ("rmse", "mae"),
    "objective.epoch": ("best", "last"),
}

# key: (smallest, largest, whether the smallest itself is valid)
_RANGES: dict[str, tuple[float, float, bool]] = {
    "trainer.batch_size": (1, math.inf, True),
    "trainer.valid_batch_size": (1, math.inf, True),
    "trainer.weight_decay": (0, math.inf, True),
    "trainer.ema_decay": (0, 1, False),
    "trainer.clip_grad": (0, math.inf, False),
    "trainer.lr_factor": (0, 1, False),
    "trainer.scheduler_patience": (0, math.inf, True),
    "trainer.lr_scheduler_gamma": (0, 1, False),
    "trainer.balance_interval": (0, math.inf, True),
    "trainer.num_threads": (1, math.inf, True),
    "search.balance_epochs": (0, math.inf, True),
    "search.balance_prior": (0, 1, True),
    "seed": (0, 2**31 - 1, True),
}


def check_config(cfg: DictConfig) -> list[Stage]:
    """Check a composed configuration.

    Returns:
        The resolved stages of the training.

    Raises:
        InputError: naming the key, what it holds and what is valid.
    """
    try:
        missing = OmegaConf.missing_keys(cfg)
        plain: Any = OmegaConf.to_container(cfg, resolve=True)
        # Hydra's "+key=value" gets past the schema.
        OmegaConf.merge(OmegaConf.structured(Config), plain)
    except OmegaConfBaseException as error:
        raise InputError(omegaconf_message(error)) from error
    if missing:
        raise InputError(
            f"{', '.join(sorted(missing))}: no value given; set it in the config or on the "
            "command line"
        )
    for key, choices in _CHOICES.items():
        value = OmegaConf.select(cfg, key)
        if value not in choices:
            valid = ["null" if choice is None else choice for choice in choices]
            raise InputError(unknown("value", value, valid, where=key))
    for key, (low, high, closed) in _RANGES.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and not (low <= value <= high and (closed or value != low)):
            bounds = f"{'at least' if closed else 'above'} {low}"
            bounds += "" if math.isinf(high) else f" and at most {high}"
            raise InputError(f"{key}: must be {bounds}; got {value}")
    model_settings(cfg)
    if Path(cfg.fit_name).name != cfg.fit_name or not cfg.fit_name:
        raise InputError(f"fit_name: must be the name of a file; got '{cfg.fit_name}'")
    _check_device(plain["trainer"]["device"])
    _check_objective(plain["objective"]["metrics"])
    stages = resolve_stages(plain["train_schedule"], plain["loss"])
    _check_reference(plain["search"]["reference"], stages)
    return stages


def model_settings(cfg: DictConfig) -> LocalChargesConfig:
    """The settings of the model as the dataclass of its family.

    Raises:
        InputError: if the family or a key is unknown, or a value is not valid.
    """
    family = OmegaConf.select(cfg, "model.family")
    if family not in FAMILIES:
        raise InputError(unknown("model family", family, FAMILIES, where="model.family"))
    schema = OmegaConf.structured(LocalChargesConfig)
    try:
        merged = OmegaConf.merge(schema, cfg.model)
        settings = cast(LocalChargesConfig, OmegaConf.to_object(merged))
    except (ConfigKeyError, ConfigAttributeError) as error:
        raise InputError(unknown("key", str(error.key), schema, where="model")) from error
    except OmegaConfBaseException as error:
        raise InputError(f"model.{error.full_key}: {str(error.msg).splitlines()[0]}") from error
    check_settings(settings)
    return settings


def omegaconf_message(error: OmegaConfBaseException) -> str:
    """One line that names the key."""
    key = error.full_key or str(error.key)
    node = error.parent_node
    if isinstance(error, KeyValidationError):
        return f'{key}: write the key in quotes, "{error.key}"'
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and isinstance(node, DictConfig):
        return unknown("key", str(error.key), map(str, node), where=key)
    return f"{key}: {(error.msg or str(error)).splitlines()[0]}"


def _check_device(device: str) -> None:
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise InputError(f"trainer.device: must be cpu, cuda or cuda:<n>; got '{device}'")


def _check_objective(metrics: list[str]) -> None:
    if not metrics:
        raise InputError("objective.metrics: empty; it needs at least one quantity")
    for name in metrics:
        if name not in QUANTITIES:
            raise InputError(unknown("quantity", name, QUANTITIES, where="objective.metrics"))
    if len(set(metrics)) < len(metrics):
        raise InputError(f"objective.metrics: a quantity stands twice in {', '.join(metrics)}")


def _check_reference(reference: str | None, stages: list[Stage]) -> None:
    if reference is None:
        return
    for stage in stages:
        if stage.weights.get(reference, 0.0) == 0.0:
            raise InputError(
                f"search.reference: '{reference}' has no weight above 0 in stage "
                f"{stage.index} ({stage.name}); its terms: {', '.join(stage.loss)}"
            )
