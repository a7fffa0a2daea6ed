"""Everything about a study that follows from its configuration. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import check_config
from sweep.config.schema import ConfirmConfig, ObjectiveConfig
from sweep.search.objectives import Objectives
from sweep.search.optimization import make_pruner, make_sampler, open_study
from sweep.search.space import SearchSpace
from sweep.study.composition import Composer
from sweep.study.queue import TrialQueue
from sweep.study.storage import open_storage

if TYPE_CHECKING:
    from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["Plan", "without_hydra"]


@dataclass(frozen=True)
class Plan:
    """A study before it is opened.

    Attributes:
        name: Name of the study.
        folder: Its folder.
        space: The search space.
        base: The configuration of trial 0, checked.
        composer: Makes the configurations of its trials.
        objectives: What is minimised.
        confirm: Which trials are trained again in the end; None for none.
        pruner: Stops trials early.
        dashboard: Whether trials get notes and pictures for optuna-dashboard.
    """

    name: str
    folder: Path
    space: SearchSpace
    base: DictConfig
    composer: Composer
    objectives: Objectives
    confirm: ConfirmConfig | None
    pruner: optuna.pruners.BasePruner
    dashboard: bool
    _sweeper: StudySweeper

    @classmethod
    def make(cls, sweeper: StudySweeper, arguments: list[str]) -> Plan:
        """Check all that needs no data.

        Raises:
            InputError: on anything that is not valid.
        """
        space = SearchSpace.parse(sweeper.params, arguments)
        template = sweeper.compose(space.fixed)
        base = without_hydra(template)
        stages = check_config(base)
        space.defaults(base)
        space.check(base)
        objective = cast(ObjectiveConfig, OmegaConf.to_object(base.objective))
        make_sampler(sweeper.sampler, space, seed=base.seed, number=0, minimize=objective.minimize)
        pruner = make_pruner(sweeper.pruner, stages[-1].end + 1)
        confirm = cast(ConfirmConfig, OmegaConf.to_object(base.search.confirm))
        return cls(
            name=sweeper.study_name,
            folder=Path(sweeper.config.hydra.sweep.dir),
            space=space,
            base=base,
            composer=Composer(template, space, sweeper.study_name),
            objectives=Objectives.of(objective),
            confirm=confirm if confirm.top else None,
            pruner=pruner,
            dashboard=sweeper.dashboard,
            _sweeper=sweeper,
        )

    @property
    def hydra_context(self) -> HydraContext:
        """What Hydra gave the sweeper."""
        return self._sweeper.hydra_context

    def open(self, *, anew: bool = False) -> TrialQueue:
        """Open the study, or create it; ``anew``: discard what there is first.

        Raises:
            InputError: if its storage cannot be opened.
        """
        sweeper = self._sweeper
        if anew:
            storage = open_storage(sweeper.storage, self.folder)
            optuna.delete_study(study_name=self.name, storage=storage)
        study = open_study(
            self.folder,
            self.name,
            n_objectives=len(self.objectives.minimize),
            storage=sweeper.storage,
            space=self.space,
        )
        study.pruner = self.pruner
        return TrialQueue(
            study,
            self.folder,
            lambda number: make_sampler(
                sweeper.sampler,
                self.space,
                seed=self.base.seed,
                number=number,
                minimize=self.objectives.minimize,
            ),
            n_trials=sweeper.n_trials,
            max_failure_rate=sweeper.max_failure_rate,
        )

    def open_confirmation(self) -> TrialQueue:
        """Open or create the queue of what confirms the winner, in the same storage."""
        study = open_study(self.folder, f"{self.name}.confirm", storage=self._sweeper.storage)
        return TrialQueue(
            study,
            self.folder / "confirm",
            optuna.samplers.RandomSampler,  # its first argument is the seed; nothing is drawn
            n_trials=None,
            max_failure_rate=1.0,
        )


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The configuration as a task sees it."""
    task: DictConfig = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return task
