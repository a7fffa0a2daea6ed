"""Opening an Optuna study with the configured sampler and pruner."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from sweep.errors import InputError
from sweep.study.storage import locked, open_journal

__all__ = ["make_sampler", "open_study"]


def open_study(
    folder: Path, name: str, sampler: DictConfig, pruner: DictConfig, *, seed: int
) -> optuna.Study:
    """Create the study in ``folder``, or open the one that is there.

    Raises:
        InputError: if sampler or pruner cannot be made.
    """
    first, stops = make_sampler(sampler, seed=seed, number=0), _make("pruner", pruner)
    # We report the study's progress ourselves.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_journal(folder / "study.journal")
    with locked(folder / "locks" / "queue.lock"):
        study = optuna.create_study(
            study_name=name, storage=storage, direction="minimize", load_if_exists=True
        )
    study.sampler, study.pruner = first, stops
    return study


def make_sampler(cfg: DictConfig, *, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial, seeded from both numbers; its own ``seed`` replaces the study's.

    Raises:
        InputError: if it cannot be made.
    """
    given = cfg.get("seed") if cfg else None
    if not (given is None or (isinstance(given, int) and given >= 0)):
        raise InputError(f"hydra.sweeper.sampler.seed: must be a whole number from 0; got {given}")
    base = seed if given is None else given
    own = int(np.random.SeedSequence([base, number]).generate_state(1)[0])
    sampler: optuna.samplers.BaseSampler = _make("sampler", cfg, seed=own)
    return sampler


def _make(kind: str, cfg: DictConfig, **defaults: Any) -> Any:
    try:
        accepted = inspect.signature(get_class(cfg["_target_"])).parameters
        given = {key: value for key, value in defaults.items() if key in accepted}
        with warnings.catch_warnings():
            # Whoever chooses an experimental part of Optuna in a file knows it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate({**cfg, **given})
    except (InstantiationException, ValueError, TypeError, KeyError, ImportError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"hydra.sweeper.{kind}: cannot be made: {detail}") from error
