"""Opening an Optuna study with the configured sampler and pruner."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError, unknown
from sweep.locks import locked
from sweep.search.objectives import SCORE
from sweep.search.samplers import OWN, check_sampler, defaults_for, is_walked, prepare
from sweep.search.space import SearchSpace
from sweep.study.queue import EXHAUSTED
from sweep.study.storage import open_storage

__all__ = ["make_pruner", "make_sampler", "open_study"]


def open_study(
    folder: Path,
    name: str,
    *,
    n_objectives: int = 1,
    storage: str | None = None,
    space: SearchSpace | None = None,
) -> optuna.Study:
    """Create the study, or open the one that is there.

    Args:
        folder: Folder of the study.
        name: Its name.
        n_objectives: How many values are minimised.
        storage: URL of a database; None for a journal in the folder.
        space: The search space, to tell when a sampler has walked through all of it.

    Raises:
        InputError: if the storage cannot be opened or holds a study of another kind.
    """
    # We report the study's progress ourselves.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    opened = open_storage(storage, folder)
    with locked(folder / "locks" / "queue.lock"):
        study = optuna.create_study(
            study_name=name,
            storage=opened,
            directions=["minimize"] * n_objectives,
            load_if_exists=True,
        )
    if len(study.directions) != n_objectives:
        raise InputError(
            f"{folder}: holds a study of {len(study.directions)} objectives; objective.minimize "
            f"has {n_objectives}; give this one its own hydra.sweeper.study_name"
        )

    def stop() -> None:
        """Called by samplers that have tried everything, to end a loop that we do not use."""
        if space is not None and is_walked(study, space):
            study.set_user_attr(EXHAUSTED, True)

    study.stop = stop  # type: ignore[method-assign]
    return study


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
