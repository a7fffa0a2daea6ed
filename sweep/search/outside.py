"""Trials of a study that are no points of its search space, kept from its samplers.

The references of a study may differ from its other trials in more than what is searched: in a
search of shares, the trial with the configured weights has none. Their parameters are empty, their
user attribute :data:`OVERRIDES` says what they train. Optuna's samplers would take such a trial for
the end of the space that all trials share.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial

__all__ = ["OVERRIDES", "StudyView", "hide_outside", "is_outside", "study_behind"]

OVERRIDES = "overrides"
"""User attribute of a trial outside the search space: keys of the configuration and values."""

_DRAW = ("infer_relative_search_space", "sample_relative", "sample_independent")
_FOLLOW = ("before_trial", "after_trial")


def is_outside(trial: Trial | FrozenTrial) -> bool:
    """Whether a trial is no point of the search space."""
    return OVERRIDES in trial.user_attrs


class StudyView:
    """A study that shows some things otherwise.

    Args:
        study: The study, or a view of it.
    """

    def __init__(self, study: Any) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


class _Inside(StudyView):
    """A study without the trials outside its space."""

    def get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [t for t in self._study.get_trials(*args, **kwargs) if not is_outside(t)]

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [t for t in self._study._get_trials(*args, **kwargs) if not is_outside(t)]

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.get_trials()

    @property
    def _storage(self) -> _InsideStorage:
        return _InsideStorage(self._study._storage)


class _InsideStorage:
    """What samplers ask that read the storage itself."""

    def __init__(self, storage: Any) -> None:
        self._backing = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backing, name)

    def get_all_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [t for t in self._backing.get_all_trials(*args, **kwargs) if not is_outside(t)]


def study_behind(study: Any) -> optuna.Study:
    """The study itself, whatever it is seen through."""
    while isinstance(study, StudyView):
        study = study._study
    return study  # type: ignore[no-any-return]


def hide_outside(sampler: BaseSampler) -> None:
    """Let a sampler see only the trials that are points of the space."""
    for name in (*_DRAW, *_FOLLOW):
        setattr(sampler, name, _seeing_inside(getattr(sampler, name), name in _FOLLOW))


def _seeing_inside(method: Callable[..., Any], follows: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def seeing(study: optuna.Study, trial: FrozenTrial, *args: Any, **kwargs: Any) -> Any:
        if follows and is_outside(trial):
            return None
        is_view = isinstance(study, StudyView)  # a method that calls another has one already
        return method(study if is_view else _Inside(study), trial, *args, **kwargs)

    return seeing
