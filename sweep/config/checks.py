"""Every check of a configuration that needs no data and no torch, and the error messages."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import math
import re
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
from sweep.config.heads import check_heads
from sweep.config.schema import Config
from sweep.config.stages import Stage, resolve_stages
from sweep.config.terms import import_terms
from sweep.config.tracking import check_tracking
from sweep.config.trainers import check_settings as check_trainer
from sweep.config.trainers import trainer_kind
from sweep.config.weightings import WEIGHTINGS, check_weighting
from sweep.data.labels import find_label
from sweep.errors import InputError, unknown
from sweep.models.families import FAMILIES, check_settings
from sweep.models.settings import BackboneConfig
from sweep.quantities import QUANTITIES, exponents_of

__all__ = ["check_config", "model_settings", "omegaconf_message", "stages_of"]

_OWN_CHOICES: dict[str, tuple[str | None, ...]] = {
    "trainer.optimizer": ("adam", "adamw", "schedulefree"),
    "trainer.scheduler": ("ReduceLROnPlateau", "ExponentialLR", None),
    "trainer.default_dtype": ("float32", "float64"),
}
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "objective.statistic": ("rmse", "mae"),
    "objective.epoch": ("best", "last"),
    "search.stages": ("all", "last"),
    "weighting.name": WEIGHTINGS,
}

# key: (smallest, largest, whether the smallest itself is valid); of keys that there are
_RANGES: dict[str, tuple[float, float, bool]] = {
    "trainer.batch_size": (1, math.inf, True),
    "trainer.valid_batch_size": (1, math.inf, True),
    "trainer.weight_decay": (0, math.inf, True),
    "trainer.beta": (0, 0.999999, True),
    "trainer.beta_two": (0, 0.999999999, True),
    "trainer.ema_decay": (0, 1, False),
    "trainer.clip_grad": (0, math.inf, False),
    "trainer.clip_median": (1, math.inf, False),
    "trainer.lr_factor": (0, 1, False),
    "trainer.scheduler_patience": (0, math.inf, True),
    "trainer.lr_scheduler_gamma": (0, 1, False),
    "trainer.patience": (1, math.inf, True),
    "trainer.eval_interval": (1, math.inf, True),
    "trainer.balance_interval": (0, math.inf, True),
    "trainer.num_threads": (1, math.inf, True),
    "trainer.timeout": (0, math.inf, False),
    "trainer.grace": (0, math.inf, True),
    "trainer.first_epoch": (0, math.inf, True),
    "search.confirm.top": (0, math.inf, True),
    "search.confirm.seeds": (2, math.inf, True),  # the spread of one is unknown
    "search.confirm.length": (1, math.inf, True),
    "weighting.interval": (1, math.inf, True),
    "weighting.smoothing": (0, 0.999, True),
    "weighting.ceiling": (1, math.inf, False),
    "weighting.lr": (0, math.inf, False),
    "weighting.temperature": (0, math.inf, False),
    "weighting.mu": (0, math.inf, False),
    "seed": (0, 2**31 - 1, True),
    "split_seed": (0, 2**31 - 1, True),
}


_NAME = re.compile(r"\w+")  # of a quantity that only another program knows


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
    kind = trainer_kind(plain)
    missing = {key for key in missing if not (kind.is_program and key == "model")}
    if missing:
        raise InputError(
            f"{', '.join(sorted(missing))}: no value given; set it in the config or on the "
            "command line"
        )
    own = {} if kind.is_program else _OWN_CHOICES
    for key, choices in {**own, **_CHOICES}.items():
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
    check_trainer(plain["trainer"], kind)
    check_heads(plain["heads"], kind)
    check_tracking(cfg)
    if Path(cfg.fit_name).name != cfg.fit_name or not cfg.fit_name:
        raise InputError(f"fit_name: must be the name of a file; got '{cfg.fit_name}'")
    _check_device(plain["trainer"]["device"])
    settings = None if kind.is_program else model_settings(cfg)
    if settings is not None and plain["trainer"]["enable_cueq"]:
        _check_cueq(plain["trainer"], settings.correlation)
    if not kind.is_program and plain["trainer"]["optimizer"] == "schedulefree":
        _check_schedulefree(plain["trainer"])
    _check_objective(plain["objective"], any_quantity=kind.is_program)
    stages = _stages(plain, settings, own_terms=kind.own_terms)
    check_weighting(plain["weighting"], plain["trainer"], kind, stages)
    _check_reference(plain["search"]["reference"], stages)
    return stages


def stages_of(cfg: DictConfig) -> list[Stage]:
    """The resolved stages of a configuration that was checked, but for the weights in it.

    Raises:
        InputError: if a weight or an option of a term or a stage is not valid.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    import_terms(plain["loss_modules"])
    kind = trainer_kind(plain)
    if kind.is_program:
        return _stages(plain, None, own_terms=kind.own_terms)
    return _stages(plain, _settings_of(json.dumps(plain["model"], sort_keys=True)))


@functools.lru_cache(maxsize=4)
def _settings_of(model: str) -> BackboneConfig:
    """From JSON: nearly all trials of a study have the same model."""
    return model_settings(OmegaConf.create({"model": json.loads(model)}))


def _stages(
    plain: dict[str, Any], settings: BackboneConfig | None, *, own_terms: bool = True
) -> list[Stage]:
    """The stages; without the settings of our own models those of another program."""
    schedule = plain["train_schedule"]
    if settings is None:
        return resolve_stages(schedule, plain["loss"], own_terms=own_terms)
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
    message = (error.msg or str(error)).splitlines()[0]
    if "is not a subclass of StageConfig" in message:
        key = f"train_schedule.{error.key}"
        return (
            f"{key}: a stage that is not there is added whole, as in "
            f"'+{key}={{name: stage2, start: 100, end: 199, lr: 0.001}}'"
        )
    if "is not a ListConfig, list or tuple" in message:
        return f"{key}: must be a list, in brackets: {key}=[…]"
    return f"{key}: {message}"


def _remedy(key: str, node: DictConfig) -> str:
    """How a key that is not there, but could be, is said here."""
    where, _, name = key.rpartition(".")
    own = own_name(name)
    if where.startswith("heads.") and where.count(".") == 1 and "unit" in name:
        return "; units are eV, Å, e and eV/Å³, and data in others are converted beforehand"
    if own is not None and where in ("", "trainer", "model"):
        return f"; it is {own} here"
    if where == "loss" and name in losses.names():
        terms = ",".join(map(str, node))
        return f"; add the term with +loss.{name}.weight=1, or choose: loss=[{terms},{name}]"
    if where.startswith("train_schedule.") and where.endswith(".loss") and not len(node):
        return (
            f"; the stage has the composed loss: loss.{name}.weight=…, or give it one of its own: "
            f"'{where}={{{name}: 1.0, …}}'"
        )
    if where.endswith((".info_keys", ".arrays_keys")):
        label = find_label(name)
        right = "arrays_keys" if label is not None and label.per_atom else "info_keys"
        if label is not None and not where.endswith(right):
            return f"; it belongs in {right}: '+{where.rpartition('.')[0]}.{right}.{name}=…'"
        return f"; map a further label with '+{key}=…', a + before it"
    if where.endswith(".config_type_weights"):
        return f"; give a further type its weight with '+{key}=…', a + before it"
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


def _check_schedulefree(trainer: dict[str, Any]) -> None:
    """It is a library of its own, and averages the parameters itself."""
    where = "trainer.optimizer=schedulefree"
    if importlib.util.find_spec("schedulefree") is None:
        raise InputError(f"{where}: not installed: pip install schedulefree")
    if trainer["ema"]:
        raise InputError(f"{where}: averages the parameters itself; set trainer.ema=false")
    if trainer["beta"] == 0:
        raise InputError(f"{where}: trainer.beta must be above 0; got 0")


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


def _check_objective(objective: dict[str, Any], *, any_quantity: bool) -> None:
    for key, more in (("metrics", ()), ("minimize", ("score",))):
        names = objective[key]
        if key == "metrics":
            names = list(exponents_of(names))
        if not names:
            raise InputError(f"objective.{key}: empty; it needs at least one quantity")
        for name in names:
            if any_quantity and _NAME.fullmatch(name):
                continue
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


def _check_reference(reference: str | None, stages: list[Stage]) -> None:
    if reference is None:
        return
    for stage in stages:
        if stage.weights.get(reference, 0.0) == 0.0:
            raise InputError(
                f"search.reference: '{reference}' has no weight above 0 in stage "
                f"{stage.index} ({stage.name}); its terms: {', '.join(stage.loss)}"
            )
