"""The configured sampler and pruner, made from their configurations."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError, unknown
from sweep.search.objectives import SCORE
from sweep.search.samplers import OWN, check_sampler, defaults_for, prepare
from sweep.search.space import SearchSpace

__all__ = ["make_pruner", "make_sampler"]


def make_sampler(
    cfg: DictConfig,
    space: SearchSpace,
    *,
    seed: int,
    number: int,
    minimize: Sequence[str] = (SCORE,),
) -> optuna.samplers.BaseSampler:
    """The sampler of one trial, seeded from both numbers; its own ``seed`` replaces the study's.

    Args:
        cfg: Its configuration.
        space: The search space.
        seed: Of the study.
        number: Of the trial.
        minimize: The objectives.

    Raises:
        InputError: if it cannot be made, or cannot search this space for these objectives.
    """
    given = cfg.get("seed") if cfg else None
    if not (given is None or (isinstance(given, int) and given >= 0)):
        raise InputError(f"hydra.sweeper.sampler.seed: must be a whole number from 0; got {given}")
    base = seed if given is None else given
    own = int(np.random.SeedSequence([base, number]).generate_state(1)[0])
    target = str(cfg.get("_target_", "") if cfg else "")
    check_sampler(target, space, minimize)
    defaults = defaults_for(target, space, minimize, base=base, own=own)
    if own_class := OWN.get(target):
        path = f"{own_class.__module__}.{own_class.__name__}"
        cfg = OmegaConf.create({**cfg, "_target_": path})
    sampler: optuna.samplers.BaseSampler = _make("sampler", cfg, defaults, always=("seed",))
    return prepare(sampler, space)


def make_pruner(cfg: DictConfig, n_epochs: int) -> optuna.pruners.BasePruner:
    """The pruner.

    Args:
        cfg: Its configuration.
        n_epochs: Length of a training; what ``max_resource`` is if it is not given.

    Raises:
        InputError: if it cannot be made.
    """
    pruner: optuna.pruners.BasePruner = _make("pruner", cfg, {"max_resource": n_epochs})
    return pruner


def _make(kind: str, cfg: DictConfig, defaults: dict[str, Any], always: Sequence[str] = ()) -> Any:
    where = f"hydra.sweeper.{kind}"
    try:
        target = get_class(cfg["_target_"])
        accepted = inspect.signature(target).parameters
        free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        for key in map(str, cfg):
            if not (key.startswith("_") or key in accepted or free):
                raise InputError(
                    unknown(f"option of {target.__name__}", key, accepted, where=where)
                )
        given = {
            key: value
            for key, value in defaults.items()
            if key in accepted and (key in always or key not in cfg)
        }
        with warnings.catch_warnings():
            # Whoever chooses an experimental part of Optuna in a file knows it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate(cfg, **given)
    except InputError:
        raise
    except (InstantiationException, ValueError, TypeError, KeyError, ImportError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{where}: cannot be made: {detail}") from error
