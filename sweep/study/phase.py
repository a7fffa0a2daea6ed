"""The parts of a study that are worked on one after the other: the search, its confirmation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, Trial

from sweep.search.objectives import Objectives
from sweep.search.outside import OVERRIDES
from sweep.search.suggestion import describe
from sweep.study.queue import TrialQueue
from sweep.study.references import ORIGIN
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
        role: ``default``, ``balanced``, ``static``, the name of a recipe, or None.
        subdir: Its folder in that of the study.
        what: Describes it to the user.
        further: Keys of the configuration that are not searched, and their values.
        origin: Where static weights come from, in words; None where they are those of a trial.
    """

    number: int
    params: dict[str, Any]
    role: str | None
    subdir: str
    what: str
    further: dict[str, Any] = field(default_factory=dict)
    origin: str | None = None


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

    @property
    def has_limits(self) -> bool:
        """Whether the best of its trials is that of those within the constraints."""
        return bool(self.objectives.constraints)


def search_phase(spec: StudySpec, queue: TrialQueue) -> Phase:
    """The search itself."""
    return Phase(queue, _training, spec.objectives, searches=True)


def _training(trial: AnyTrial) -> Training:
    role = trial.user_attrs.get("role")
    subdir = f"trials/{trial.number:04d}"
    further = dict(trial.user_attrs.get(OVERRIDES, {}))
    what = describe(role, {**trial.params, **further})
    origin = trial.user_attrs.get(ORIGIN)
    return Training(trial.number, trial.params, role, subdir, what, further, origin)
