"""The parts of a study that are worked on one after the other: the search, its confirmation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial

from sweep.search.objectives import Objectives
from sweep.search.suggestion import describe
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec

__all__ = ["AnyTrial", "Phase", "Training", "search_phase"]

AnyTrial = Trial | FrozenTrial


@dataclass(frozen=True)
class Training:
    """What a trial trains.

    Attributes:
        number: The number that ``trial.json`` names; for a confirmation that of the trial which is
            trained again.
        params: Parameters.
        role: ``default``, ``balanced`` or None.
        subdir: Its folder in that of the study.
        what: Describes it to the user.
        seed: A seed of its own; None for the study's.
    """

    number: int
    params: dict[str, Any]
    role: str | None
    subdir: str
    what: str
    seed: int | None = None


@dataclass(frozen=True)
class Phase:
    """A part of a study.

    Attributes:
        queue: Hands out the trials.
        training_of: What a trial trains, once it has its parameters.
        objectives: What Optuna is told of a finished trial.
        searches: Whether its trials draw parameters and may be pruned; otherwise their parameters
            are known and all of them are trained to the end.
    """

    queue: TrialQueue
    training_of: Callable[[AnyTrial], Training]
    objectives: Objectives
    searches: bool


def search_phase(spec: StudySpec, queue: TrialQueue) -> Phase:
    """The search itself."""
    return Phase(queue, _training, spec.objectives, searches=True)


def _training(trial: AnyTrial) -> Training:
    role = trial.user_attrs.get("role")
    subdir = f"trials/{trial.number:04d}"
    return Training(trial.number, trial.params, role, subdir, describe(role, trial.params))
