"""The references of a study: the configured weights, weights that move, and their static copy.

Trial 0 trains the configured weights. If weights or shares are searched, trial 1 lets the weights
follow the training (``weighting``), and once it is complete, the next one trains the static weights
that it ended with: the sampler has them from the start, and whoever trains with another program can
take them there. In a program where weights cannot follow, :mod:`sweep.study.static_weights` finds
the static ones. ``search.recipes`` adds published weightings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from sweep.config.trainers import moves_weights
from sweep.errors import DamagedRecordError
from sweep.locks import locked
from sweep.records import Trial
from sweep.search.outside import OVERRIDES, is_outside
from sweep.search.recipes import Recipe
from sweep.search.weights import static_overrides, static_parameters, weight_keys
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec

__all__ = [
    "BALANCED", "DEFAULT", "ORIGIN", "ROLES", "STATIC", "default_errors", "enqueue_references",
    "enqueue_static",
]  # fmt: skip

DEFAULT, BALANCED, STATIC = "default", "balanced", "static"
ROLES = (DEFAULT, BALANCED, STATIC, "best", "knee")
"""What trials are called in every study: no name of a recipe."""
ORIGIN = "weights_from"
"""User attribute, and entry of ``trial.json``: where static weights come from, if not from a trial
of the study whose weights moved."""

_FIXED = {"weighting.name": "fixed"}


def enqueue_references(spec: StudySpec, queue: TrialQueue) -> list[str]:
    """See to it that the references are among the trials, as far as they are known.

    The static copy is known when trial 1 is complete, and is taken in if there is room for it.

    Returns:
        Names of the recipes that are no trials, as there is no room for them.
    """
    study = queue.study
    with locked(queue.lock_path):
        trials = study.get_trials(deepcopy=False)
        roles = {trial.user_attrs.get("role"): trial for trial in trials}
        # Who was stopped between the two left one of them.
        for role, what in _first(spec).items():
            if role not in roles and (DEFAULT not in roles or len(trials) < queue.n_trials):
                _enqueue(study, role, *what)
        n_trials = len(study.get_trials(deepcopy=False))
        missing = [recipe for recipe in spec.recipes if recipe.name not in roles]
        n_added = max(0, min(len(missing), queue.n_trials - n_trials))
        for recipe in missing[:n_added]:
            _enqueue(study, recipe.name, {}, _of_recipe(spec, recipe))
        left = [recipe.name for recipe in missing[n_added:]]
        if STATIC in roles or BALANCED not in roles or n_trials + n_added >= queue.n_trials:
            return left
        number = roles[BALANCED].number
        if not (is_outside(roles[DEFAULT]) or is_outside(roles[BALANCED])):
            return left  # of a version that balanced weights itself, before it trained with them
        try:
            balanced = Trial.read(spec.folder / "trials" / f"{number:04d}")
        except DamagedRecordError:
            return left
        if balanced.is_complete:
            _enqueue(study, STATIC, *_static(spec, balanced))
        return left


def enqueue_static(
    queue: TrialQueue, params: dict[str, Any], overrides: dict[str, Any], origin: str
) -> bool:
    """Enqueue the static weights that were found outside the study, if there is room.

    Args:
        queue: The trials.
        params: Parameters of the trial.
        overrides: What it trains if they are no point of the space.
        origin: Where they come from, in words.

    Returns:
        Whether they were enqueued now.
    """
    with locked(queue.lock_path):
        trials = queue.study.get_trials(deepcopy=False)
        there = any(trial.user_attrs.get("role") == STATIC for trial in trials)
        if there or len(trials) >= queue.n_trials:
            return False
        _enqueue(queue.study, STATIC, params, overrides, **{ORIGIN: origin})
        return True


def _enqueue(
    study: optuna.Study,
    role: str,
    params: dict[str, Any],
    overrides: dict[str, Any],
    **attrs: str,
) -> None:
    attributes = {"role": role, **attrs} | ({OVERRIDES: overrides} if overrides else {})
    study.enqueue_trial(params, user_attrs=attributes)


def _first(spec: StudySpec) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Parameters of the first references and what they train beyond the search space, by role."""
    defaults = spec.space.defaults(spec.base)
    if "weighting.name" in spec.space.distributions:
        return {DEFAULT: (defaults, {})}
    if spec.base.weighting.name != "fixed":
        return {DEFAULT: ({}, _FIXED), BALANCED: (defaults, {})}
    several = len({weight.term for weight in weight_keys(spec.base).values()}) > 1
    if not (spec.space.weights and several and moves_weights(spec.base)):
        return {DEFAULT: (defaults, {})}
    return {DEFAULT: (defaults, {}), BALANCED: ({}, {"weighting.name": "gradient_shares"})}


def _static(spec: StudySpec, balanced: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the static copy, or what it trains if they are no point of the space."""
    if spec.base.weighting.name == "fixed":
        return static_parameters(spec.base, spec.space, balanced.stages)
    return {}, {**_FIXED, **static_overrides(spec.base, balanced.stages)}


def _of_recipe(spec: StudySpec, recipe: Recipe) -> dict[str, Any]:
    fixed = {} if spec.base.weighting.name == "fixed" else _FIXED
    return {**fixed, **recipe.weights}


def default_errors(folder: Path) -> dict[str, float] | None:
    """Validation errors of the default weights, so far if trial 0 is still at work.

    Args:
        folder: Folder of the study.
    """
    try:
        trial = Trial.read(folder / "trials" / "0000")
        if trial.is_complete:
            return {
                name: value for name, value in trial.results["valid"].items() if value is not None
            }
        table = trial.metrics()
    except (DamagedRecordError, KeyError):
        return None
    if table.empty or not (table["split"] == "valid").any():
        return None
    best = table[table["split"] == "valid"].sort_values("score").iloc[0]
    return {
        str(name): float(best[name])
        for name in table.columns
        if str(name).startswith(("rmse_", "mae_"))
    }
