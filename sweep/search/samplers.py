"""What samplers of Optuna's need to know of our studies: their space, and what they must not do.

Optuna's samplers meet a space as they go, from the parameters of earlier trials; here it is known
before the first trial, so that they need not guess. Two of them walk through all points of a finite
space and say when they are through; whether that is so is checked against the space.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import InputError
from sweep.search.grammar import grid
from sweep.search.outside import StudyView, hide_outside, study_behind
from sweep.search.space import OFF, ON, SearchSpace

__all__ = ["OWN", "check_sampler", "defaults_for", "draws_in_turn", "is_walked", "prepare"]

_WALKS = ("GridSampler", "BruteForceSampler")
_ONE_OBJECTIVE = ("CmaEsSampler",)
# All trials share one sequence: with seeds of their own they would have many.
_SEQUENCES = ("GridSampler", "QMCSampler")


class Grid(GridSampler):
    """Optuna's grid in a study that also has trials which are no points of its walk.

    The default and the balanced weights are given, not drawn; Optuna's sampler fails when such a
    trial ends last, or when one of their parameters is left for it to draw.
    """

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of the trial's point; a random one for a trial that has none."""
        if "grid_id" in trial.system_attrs:
            return super().sample_independent(study, trial, param_name, param_distribution)
        return self._rng.rng.choice(np.array(grid(param_name, param_distribution), object))

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Stop the study after the last point."""
        if "grid_id" in trial.system_attrs:
            super().after_trial(study, trial, state, values)


# For every study that this process has open, the keys that all of its finished trials have.
_COMMON: WeakKeyDictionary[optuna.Study, IntersectionSearchSpace] = WeakKeyDictionary()


class _Minimized(StudyView):
    """A study as a sampler sees it that asks for the direction of pruned trials' scores.

    Optuna lets no study of several objectives report scores for pruning, so its samplers do not
    expect any; ours are minimised, as everything is.
    """

    direction = StudyDirection.MINIMIZE


class Parzen(TPESampler):
    """Optuna's TPE in a study of several objectives whose pruned trials have reported a score.

    Every trial has a sampler of its own, and each would look through all trials for the keys that
    they have in common; the samplers of a study share what was found up to now.
    """

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As Optuna's."""
        self._search_space = _COMMON.setdefault(study_behind(study), self._search_space)
        return super().infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's."""
        seen: Any = _Minimized(study)
        return super().sample_relative(seen, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As Optuna's."""
        seen: Any = _Minimized(study)
        return super().sample_independent(seen, trial, param_name, param_distribution)


class _PrunedAsComplete(StudyView):
    """A study of scores whose pruned trials look complete, with the score they ended at.

    It comes from a part of the training. One that is worse than every complete score says no more
    than that, and would only flatten the differences between those.

    Args:
        study: The study.
        keys: The parameters that a trial must have to be looked at.
    """

    def __init__(self, study: Any, keys: Collection[str]) -> None:
        super().__init__(study)
        self._keys = set(keys)

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        kwargs["states"] = (*kwargs["states"], TrialState.PRUNED)
        found = self._study._get_trials(*args, **kwargs)
        worst = max((t.value for t in found if t.state == TrialState.COMPLETE), default=math.inf)
        seen = []
        for trial in found:
            if trial.state != TrialState.PRUNED:
                seen.append(trial)
            elif trial.intermediate_values and self._keys <= trial.params.keys():
                score = trial.intermediate_values[trial.last_step]
                trial = copy.copy(trial)
                trial.state = TrialState.COMPLETE
                trial.value = min(score, worst) if math.isfinite(score) else worst
                seen.append(trial)
        return seen


class GaussianProcess(GPSampler):
    """Optuna's Gaussian process, which learns from pruned trials, too.

    Optuna's takes no notice of them; it drew the point of a pruned trial a second time. With
    several objectives a pruned trial has no values to learn from.
    """

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's."""
        seen: Any = study
        if len(study.directions) == 1:
            seen = _PrunedAsComplete(study, search_space)
        return super().sample_relative(seen, trial, search_space)


# Our versions of Optuna's samplers, by the name that a configuration gives.
OWN = {
    "optuna.samplers.GPSampler": GaussianProcess,
    "optuna.samplers.GridSampler": Grid,
    "optuna.samplers.TPESampler": Parzen,
}


def check_sampler(target: str, space: SearchSpace, minimize: Sequence[str]) -> None:
    """Check what a sampler can do before anything is trained.

    Args:
        target: Name of its class.
        space: The search space.
        minimize: The objectives.

    Raises:
        InputError: if it cannot search this space or minimise these objectives.
    """
    name = target.rpartition(".")[2]
    if name in _ONE_OBJECTIVE and len(minimize) > 1:
        raise InputError(
            f"hydra.sweeper.sampler: {name} minimises one objective; objective.minimize has "
            f"{len(minimize)} ({', '.join(minimize)}); take tpe, gp or nsgaii, or minimize [score]"
        )
    if name in _ONE_OBJECTIVE and len(_numbers(space)) < 2:
        raise InputError(
            f"hydra.sweeper.sampler: {name} needs at least two numbers that every trial has; the "
            f"search space has {len(_numbers(space))}"
        )
    if name in _WALKS:
        for key, distribution in space.distributions.items():
            grid(key, distribution)


def defaults_for(
    target: str, space: SearchSpace, minimize: Sequence[str], *, base: int, own: int
) -> dict[str, Any]:
    """Arguments of a sampler that its configuration does not give.

    Args:
        target: Name of its class.
        space: The search space.
        minimize: The objectives.
        base: Seed that all trials share.
        own: Seed of the trial.
    """
    name = target.rpartition(".")[2]
    defaults: dict[str, Any] = {"seed": base if name in _SEQUENCES else own}
    if name != "TPESampler":  # it alone is silent about parameters that only some trials have
        defaults["warn_independent_sampling"] = False
    if name in ("GPSampler", "CmaEsSampler"):
        # It draws what the other cannot: choices, and what only some trials have.
        defaults["independent_sampler"] = Parzen(seed=own)
    elif name == "QMCSampler":
        defaults["independent_sampler"] = RandomSampler(seed=own)
    if name == "CmaEsSampler" and tuple(minimize) == ("score",):
        # What a pruned trial has reported is a score; it can stand beside complete ones only then.
        defaults["consider_pruned_trials"] = True
    if name == "GridSampler":
        defaults["search_space"] = {
            key: grid(key, distribution) for key, distribution in space.distributions.items()
        }
    return defaults


def prepare(sampler: BaseSampler, space: SearchSpace) -> BaseSampler:
    """Tell a sampler the space, if it would otherwise take it from the first trials.

    Trials that are no points of the space are hidden from it.
    """
    name = type(sampler).__name__
    relative: dict[str, BaseDistribution] | None = None
    if name == "QMCSampler":
        # In the order of the names: it is part of what identifies the sequence.
        relative = {k: d for k, d in sorted(space.distributions.items()) if not d.single()}
    elif name == "CmaEsSampler":
        relative = _numbers(space)
    if relative is not None:
        known = dict(relative)
        sampler.infer_relative_search_space = (  # type: ignore[method-assign]
            lambda study, trial: known
        )
    hide_outside(sampler)
    return sampler


def draws_in_turn(sampler: BaseSampler) -> bool:
    """Whether two trials must not draw at once, so that they do not draw the same point."""
    return type(sampler).__name__ in ("QMCSampler", "BruteForceSampler")


def is_walked(study: optuna.Study, space: SearchSpace) -> bool:
    """Whether all points of a finite space were tried or are being tried.

    Brute force takes parameters that another worker is still drawing for a point of its own, and
    may say too early that it is through.
    """
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
    tried = {
        _point(trial.params)
        for trial in study.get_trials(deepcopy=False, states=states)
        if all(key in trial.params for key in space.distributions
               if space.is_searched(key, trial.params))
    }  # fmt: skip
    return len(tried) >= _n_points(space)


def _point(params: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """A point that is the same for 0.3 and 0.30000000000000004."""
    return frozenset(
        (key, f"{value:.12g}" if isinstance(value, float) else repr(value))
        for key, value in params.items()
    )


def _n_points(space: SearchSpace) -> int:
    """Number of different trials in a finite space."""
    sizes = {key: len(grid(key, dist)) for key, dist in space.distributions.items()}
    count = 1
    for switch in space.switches:
        inside = math.prod(sizes.pop(k) for k in list(sizes) if k.startswith(f"{switch}."))
        choices = grid(switch, space.distributions[switch])
        count *= sum(inside if choice == ON else 1 for choice in choices)
        del sizes[switch]
    return count * math.prod(sizes.values())


def _numbers(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The searched keys that are numbers in every trial."""
    all_off = dict.fromkeys(space.switches, OFF)
    return {
        key: distribution
        for key, distribution in sorted(space.distributions.items())
        if not isinstance(distribution, CategoricalDistribution)
        and not distribution.single()
        and space.is_searched(key, all_off)
    }
