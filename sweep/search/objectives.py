"""What Optuna is told about a trial: values to minimise, a score to prune by, constraints.

Optuna prunes only studies of one objective. Here pruning looks at the score in every study: it is
reported after each epoch of each trial, and the pruner sees the study as one of a single
objective, the score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.pruners import PatientPruner
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from sweep.errors import TrainingError
from sweep.records.feasibility import violations
from sweep.records.objective import Objective

__all__ = ["SCORE", "Objectives"]

SCORE = "score"


class _ScoreStorage:
    """A study's storage as the pruners shall see it: the study minimises the score alone."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MINIMIZE]

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        states = (TrialState.COMPLETE,)
        complete = self._storage.get_all_trials(study_id, deepcopy=False, states=states)
        if not complete:
            raise ValueError("no trial is complete yet")
        best = min(complete, key=lambda trial: float(trial.user_attrs[SCORE]))
        return create_trial(
            value=float(best.user_attrs[SCORE]), intermediate_values=best.intermediate_values
        )


@dataclass(frozen=True)
class Objectives:
    """What is minimised.

    Attributes:
        minimize: ``score`` or quantities, whose validation errors in eV, Å and e are minimised.
        constraints: quantity -> largest validation error that is allowed, as a multiple of the
            default's (trial 0).
        statistic: ``rmse`` or ``mae``.
    """

    minimize: tuple[str, ...]
    constraints: Mapping[str, float]
    statistic: str

    @classmethod
    def of(cls, objective: Objective) -> Objectives:
        """The objectives of a study."""
        return cls(objective.minimize, objective.constraints, objective.statistic)

    def values(self, score: float, metrics: Mapping[str, float]) -> list[float]:
        """The values to minimise of a trial with this score and these validation errors.

        Raises:
            TrainingError: if one is not finite.
        """
        values = {
            name: score if name == SCORE else metrics[f"{self.statistic}_{name}"]
            for name in self.minimize
        }
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(f"the validation error of '{name}' is {value}")
        return list(values.values())

    def report(self, trial: Trial, score: float, epoch: int) -> None:
        """Report the score of an epoch."""
        # Trial.report refuses several objectives; the storage does not.
        trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, score)

    def should_prune(self, study: optuna.Study, trial: Trial) -> bool:
        """Whether the study's pruner would stop the trial."""
        view = study
        if self.minimize != (SCORE,):
            storage: Any = _ScoreStorage(trial.storage)  # some pruners make a study of their own
            view = optuna.Study(study.study_name, storage, study.sampler, study.pruner)
        seen = trial.storage.get_trial(trial._trial_id)
        if isinstance(study.pruner, PatientPruner):
            seen.intermediate_values = _without_standstill(seen.intermediate_values)
        return study.pruner.prune(view, seen)

    def violations(
        self, metrics: Mapping[str, float], default: Mapping[str, float] | None
    ) -> dict[str, float]:
        """By how much a trial breaks each constraint; what is 0 or less is kept.

        Args:
            metrics: Its validation errors.
            default: Those of the default weights; None if there are none to compare with.
        """
        keys = {name: f"{self.statistic}_{name}" for name in self.constraints}
        errors, reference = (
            {name: (of or {}).get(key) for name, key in keys.items()} for of in (metrics, default)
        )
        return violations(errors, reference, self.constraints)


def _without_standstill(history: Mapping[int, float]) -> dict[int, float]:
    """The history of a score in which only improvements count.

    What is reported is the best score so far, and to a pruner that waits until all of the last
    scores are worse than one before, a history that stands still is as good as one that improves.
    """
    best = math.inf
    seen = {}
    for epoch, score in sorted(history.items()):
        seen[epoch] = math.inf if score == best else score
        best = min(best, score)
    return seen
