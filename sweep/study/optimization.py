"""Opening an Optuna study with the configured sampler and pruner."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import optuna
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from sweep.errors import InputError
from sweep.study.storage import locked, open_journal

__all__ = ["open_study"]


def open_study(
    folder: Path, name: str, sampler: DictConfig, pruner: DictConfig, *, seed: int
) -> optuna.Study:
    """Create the study in ``folder``, or open the one that is there.

    A sampler that takes a seed and is given none gets ``seed`` plus the number of trials so far: a
    study in one go is reproducible, and one that is resumed does not draw its first points again.

    Raises:
        InputError: if sampler or pruner cannot be made.
    """
    # We report the study's progress ourselves.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_journal(folder / "study.journal")
    with locked(folder / "locks" / "queue.lock"):
        study = optuna.create_study(
            study_name=name, storage=storage, direction="minimize", load_if_exists=True
        )
    n_trials = len(study.get_trials(deepcopy=False))
    study.sampler = _make("sampler", sampler, seed=seed + n_trials)
    study.pruner = _make("pruner", pruner)
    return study


def _make(kind: str, cfg: DictConfig, **defaults: Any) -> Any:
    try:
        accepted = inspect.signature(get_class(cfg["_target_"])).parameters
        given = {key: value for key, value in defaults.items() if key in accepted}
        with warnings.catch_warnings():
            # Whoever chooses an experimental part of Optuna in a file knows it.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate({**given, **cfg})
    except (InstantiationException, ValueError, TypeError, KeyError, ImportError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"hydra.sweeper.{kind}: cannot be made: {detail}") from error
