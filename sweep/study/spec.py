"""A study as plain data: everything that follows from its configuration. Imports no torch.

A spec is pickled and sent to the workers, which then need neither Hydra's composition nor the
command line.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
from omegaconf import DictConfig, OmegaConf, read_write

from sweep.config.checks import check_config
from sweep.config.schema import ConfirmConfig
from sweep.records.objective import Objective
from sweep.records.study_record import StudyRecord
from sweep.search.dimensions import to_dimension
from sweep.search.objectives import Objectives
from sweep.search.optimization import make_pruner, make_sampler
from sweep.search.recipes import Recipe
from sweep.search.space import SearchSpace
from sweep.study.definition import definition
from sweep.study.queue import TrialQueue
from sweep.study.storage import names_of, open_storage, open_study
from sweep.study.storage_url import StorageUrl

__all__ = ["StudySpec", "without_hydra"]


@dataclass(frozen=True)
class StudySpec:
    """A study before it is opened.

    Attributes:
        name: Name of the study.
        folder: Its folder.
        space: The search space.
        template: The configuration of trial 0 with the ``hydra`` node, from which those of all
            trials are made.
        objective: What trials are judged by.
        confirm: Which trials are trained again in the end; None for none.
        sampler: Configuration of an Optuna sampler.
        pruner: Configuration of an Optuna pruner.
        storage: Where the database is; None for a journal in the study's folder.
        n_trials: Number of trials to finish in total.
        max_failure_rate: Largest share of failed trials among ``n_trials``.
        recipes: Published weightings that are trained as well.
        reuse: Folders of other studies whose trainings are taken over where they are the same.
    """

    name: str
    folder: Path
    space: SearchSpace
    template: DictConfig
    objective: Objective
    confirm: ConfirmConfig | None
    sampler: DictConfig
    pruner: DictConfig
    storage: StorageUrl | None
    n_trials: int
    max_failure_rate: float
    reuse: tuple[Path, ...] = ()
    recipes: tuple[Recipe, ...] = ()

    @cached_property
    def base(self) -> DictConfig:
        """The configuration of trial 0 as a training sees it."""
        return without_hydra(self.template)

    @property
    def storage_url(self) -> str | None:
        """URL of the database, None without one.

        Raises:
            InputError: if this process does not know its password.
        """
        return None if self.storage is None else self.storage.url

    @property
    def objectives(self) -> Objectives:
        """What is minimised."""
        return Objectives.of(self.objective)

    @cached_property
    def n_epochs(self) -> int:
        """Length of a whole training."""
        return check_config(self.base)[-1].end + 1

    def check(self) -> None:
        """Check all that needs no data.

        Raises:
            InputError: on anything that is not valid.
        """
        check_config(self.base)
        self.space.defaults(self.base)
        self.space.check(self.base)
        self.make_sampler(0)
        make_pruner(self.pruner, self.n_epochs)

    def make_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """The sampler of a trial.

        Raises:
            InputError: if it cannot be made, or cannot search this space.
        """
        return make_sampler(
            self.sampler,
            self.space,
            seed=self.base.seed,
            number=number,
            minimize=self.objective.minimize,
        )

    def open(self) -> TrialQueue:
        """Open the study, or create it.

        Raises:
            InputError: if its storage cannot be opened.
        """
        study = open_study(
            self.folder,
            self.name,
            n_objectives=len(self.objective.minimize),
            storage=self.storage_url,
            space=self.space,
        )
        study.pruner = make_pruner(self.pruner, self.n_epochs)
        return TrialQueue(
            study,
            self.folder,
            self.make_sampler,
            n_trials=self.n_trials,
            max_failure_rate=self.max_failure_rate,
        )

    def discard(self) -> None:
        """Remove what the storage holds of this study.

        Raises:
            InputError: if its storage cannot be opened.
        """
        storage = open_storage(self.storage_url, self.folder)
        for name in names_of(storage, self.name)[::-1]:
            optuna.delete_study(study_name=name, storage=storage)

    def record(self) -> StudyRecord:
        """What ``study.json`` says of it."""
        return StudyRecord(
            name=self.name,
            objective=self.objective,
            space={key: to_dimension(dist) for key, dist in self.space.distributions.items()},
            definition=definition(self.base, self.space),
            sampler=str(self.sampler.get("_target_")),
            pruner=str(self.pruner.get("_target_")),
        )

    def on_device(self, device: str) -> StudySpec:
        """The same study trained on another device."""
        template = copy.deepcopy(self.template)
        template.trainer.device = device
        with read_write(template.hydra):
            template.hydra.overrides.task.append(f"trainer.device={device}")
        return dataclasses.replace(self, template=template)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The configuration as a task sees it."""
    task: DictConfig = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return task
