"""Recipes of Hydra's config group ``recipe``: one that a study follows, those that it compares."""

from __future__ import annotations

import math
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.data.dataset import DataSet
from sweep.errors import InputError, unknown
from sweep.search.recipes import Recipe, apply_recipe, convert
from sweep.study.references import ROLES
from sweep.study.spec import StudySpec, without_hydra
from sweep.training.factory import mean_atoms

__all__ = ["follow_recipe", "recipes_of"]


def follow_recipe(cfg: DictConfig, *, tell: bool = False) -> None:
    """Give a configuration the weights of the recipe in it, if there is one.

    Args:
        cfg: The composed configuration.
        tell: Whether to print what it says, and to note the weights among the job's overrides.

    Raises:
        InputError: if the recipe does not fit the loss, or the configuration is not valid.
    """
    if not cfg.recipe.weights:
        return
    recipe = apply_recipe(cfg, mean_atoms(without_hydra(cfg)))
    if tell:
        print(recipe)
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            task = cfg.hydra.overrides.task
            cfg.hydra.overrides.task = [*task, *recipe.overrides]


def recipes_of(
    spec: StudySpec, dataset: DataSet | None, loader: ConfigLoader, config: DictConfig
) -> tuple[Recipe, ...]:
    """The published weightings of ``search.recipes``, for a study's loss; what they say is printed.

    Args:
        spec: The study.
        dataset: Its data; None if another program reads them.
        loader: Hydra's, which finds the users' own recipes too.
        config: What the command composed.

    Raises:
        InputError: if one is unknown, stands there twice or does not fit the loss.
    """
    names = list(spec.base.search.recipes)
    valid = [name for name in loader.get_group_options("recipe") if name not in ROLES]
    found: list[Recipe] = []
    for name in names:
        if name not in valid:
            raise InputError(unknown("recipe", name, valid, where="search.recipes"))
        if names.count(name) > 1:
            raise InputError(f"search.recipes: '{name}' stands there twice")
        composed = loader.load_sweep_config(config, [*spec.space.fixed, f"+recipe={name}"])
        base = spec.base.copy()
        base.recipe = composed.recipe
        recipe = convert(name, base, None if dataset is None else dataset.mean_atoms)
        print(recipe)
        if all(_is_at(base, key, value) for key, value in recipe.weights.items()):
            print(f"recipe {name}: these are the configured weights, which trial 0 trains")
        else:
            found.append(recipe)
    return tuple(found)


def _is_at(cfg: DictConfig, key: str, value: Any) -> bool:
    there = OmegaConf.select(cfg, key)
    numbers = isinstance(there, int | float) and isinstance(value, int | float)
    return numbers and math.isclose(there, value)
