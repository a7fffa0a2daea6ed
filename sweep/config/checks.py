"""Every check of a configuration that needs no data and no torch, and the error messages."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
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

import losses
from sweep.config.foreign import own_name
from sweep.config.schema import Config
from sweep.config.stages import Stage, resolve_stages
from sweep.config.terms import import_terms
from sweep.errors import InputError, unknown
from sweep.models.families import FAMILIES, check_settings
from sweep.models.settings import BackboneConfig
from sweep.quantities import QUANTITIES

__all__ = ["check_config", "model_settings", "omegaconf_message", "stages_of"]

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "trainer.optimizer": ("adam", "adamw"),
    "trainer.scheduler": ("ReduceLROnPlateau", "ExponentialLR", None),
    "trainer.default_dtype": ("float32", "float64"),
    "objective.statistic": ("rmse", "mae"),
    "objective.epoch": ("best", "last"),
    "weighting.name": ("fixed", "gradient_shares", "loss_shares"),
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
    "search.confirm.top": (0, math.inf, True),
    "search.confirm.seeds": (2, math.inf, True),  # the spread of one is unknown
    "weighting.interval": (1, math.inf, True),
    "weighting.smoothing": (0, 0.999, True),
    "weighting.ceiling": (1, math.inf, False),
    "seed": (0, 2**31 - 1, True),
    "split_seed": (0, 2**31 - 1, True),
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
    import_terms(plain["loss_modules"])
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
    settings = model_settings(cfg)
    if Path(cfg.fit_name).name != cfg.fit_name or not cfg.fit_name:
        raise InputError(f"fit_name: must be the name of a file; got '{cfg.fit_name}'")
    _check_device(plain["trainer"]["device"])
    if plain["trainer"]["enable_cueq"]:
        _check_cueq(plain["trainer"], settings.correlation)
    _check_objective(plain["objective"])
    stages = _stages(plain, settings)
    _check_shares(plain["weighting"], stages)
    _check_reference(plain["search"]["reference"], stages)
    return stages


def stages_of(cfg: DictConfig) -> list[Stage]:
    """The resolved stages of a configuration that was checked, but for the weights in it.

    Raises:
        InputError: if a weight or an option of a term or a stage is not valid.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    import_terms(plain["loss_modules"])
    return _stages(plain, _settings_of(json.dumps(plain["model"], sort_keys=True)))


@functools.lru_cache(maxsize=4)
def _settings_of(model: str) -> BackboneConfig:
    """From JSON: nearly all trials of a study have the same model."""
    return model_settings(OmegaConf.create({"model": json.loads(model)}))


def _stages(plain: dict[str, Any], settings: BackboneConfig) -> list[Stage]:
    schedule = plain["train_schedule"]
    return [
        dataclasses.replace(
            stage,
            options=settings.stage_arguments(
                f"train_schedule.{stage.index}", schedule[str(stage.index)]
            ),
        )
        for stage in resolve_stages(schedule, plain["loss"])
    ]


def model_settings(cfg: DictConfig) -> BackboneConfig:
    """The settings of the model as the dataclass of its family.

    Raises:
        InputError: if the family or a key is unknown, or a value is not valid.
    """
    family = OmegaConf.select(cfg, "model.family")
    if family not in FAMILIES:
        raise InputError(unknown("model family", family, FAMILIES, where="model.family"))
    schema = OmegaConf.structured(FAMILIES[family].settings)
    try:
        merged = OmegaConf.merge(schema, cfg.model)
        settings = cast(BackboneConfig, OmegaConf.to_object(merged))
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
        text = unknown("key", str(error.key), map(str, node), where=key)
        return text + _remedy(key, node)
    return f"{key}: {(error.msg or str(error)).splitlines()[0]}"


def _remedy(key: str, node: DictConfig) -> str:
    """How a key that is not there, but could be, is said here."""
    where, _, name = key.rpartition(".")
    own = own_name(name)
    if own is not None and where in ("", "trainer", "model"):
        return f"; it is {own} here"
    if where == "loss" and name in losses.names():
        terms = ",".join(map(str, node))
        return f"; add the term with +loss.{name}.weight=1, or choose: loss=[{terms},{name}]"
    if where == "train_schedule" and name.isdigit() and len(node):
        number, end = len(node), OmegaConf.select(node, f"{len(node) - 1}.end")
        if isinstance(end, int):
            return (
                f"; add a stage with '+train_schedule.{number}={{name: stage{number + 1}, "
                f"start: {end + 1}, end: {end + 100}, lr: 0.001}}'"
            )
    return ""


def _check_device(device: str) -> None:
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise InputError(f"trainer.device: must be cpu, cuda or cuda:<n>; got '{device}'")


def _check_cueq(trainer: dict[str, Any], correlation: int) -> None:
    """Cuequivariance is an option of mace-torch: it may not be there, and has limits."""
    where = "trainer.enable_cueq"
    packages = ("cuequivariance", "cuequivariance_torch", "cuequivariance_ops_torch")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{where}: not installed: {', '.join(missing)}; for CUDA 12: pip install "
            "cuequivariance cuequivariance-torch cuequivariance-ops-torch-cu12"
        )
    if trainer["device"] == "cpu":
        raise InputError(f"{where}: is for a GPU; trainer.device is cpu")
    if correlation not in (2, 3):
        raise InputError(f"{where}: needs model.correlation 2 or 3; got {correlation}")


def _check_objective(objective: dict[str, Any]) -> None:
    for key, more in (("metrics", ()), ("minimize", ("score",))):
        names = objective[key]
        if not names:
            raise InputError(f"objective.{key}: empty; it needs at least one quantity")
        for name in names:
            if name not in (*QUANTITIES, *more):
                raise InputError(
                    unknown("quantity", name, (*QUANTITIES, *more), where=f"objective.{key}")
                )
        if len(set(names)) < len(names):
            raise InputError(f"objective.{key}: a quantity stands twice in {', '.join(names)}")
    for name, factor in objective["constraints"].items():
        if factor is not None and not (math.isfinite(factor) and factor > 0):
            raise InputError(
                f"objective.constraints.{name}: must be above 0, a multiple of the default's "
                f"error; got {factor}"
            )


def _check_shares(weighting: dict[str, Any], stages: list[Stage]) -> None:
    for name, share in weighting["shares"].items():
        where = f"weighting.shares.{name}"
        if name not in losses.names():
            raise InputError(unknown("loss term", name, losses.names(), where=where))
        if not (math.isfinite(share) and share >= 0):
            raise InputError(f"{where}: must be finite and not negative; got {share}")
    for stage in stages if weighting["name"] != "fixed" else ():
        on = [name for name, weight in stage.weights.items() if weight > 0]
        if not any(weighting["shares"].get(name, 1.0) for name in on):
            raise InputError(
                f"weighting.shares: all terms of stage {stage.index} ({stage.name}) have the share "
                f"0: {', '.join(on)}"
            )


def _check_reference(reference: str | None, stages: list[Stage]) -> None:
    if reference is None:
        return
    for stage in stages:
        if stage.weights.get(reference, 0.0) == 0.0:
            raise InputError(
                f"search.reference: '{reference}' has no weight above 0 in stage "
                f"{stage.index} ({stage.name}); its terms: {', '.join(stage.loss)}"
            )
