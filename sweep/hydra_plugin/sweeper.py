"""The Hydra sweeper: what ``python -m sweep -m`` runs. Imports no torch until all is checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError, SweepError, TrainingError

if TYPE_CHECKING:  # with Optuna they take too long for --help
    from sweep.study.spec import StudySpec
    from sweep.study.storage_url import StorageUrl

__all__ = ["StudySweeper"]


class StudySweeper(Sweeper):
    """Searches with Optuna: trial 0 is the configured default, trial 1 the balanced weights.

    Args:
        study_name: Names the study and its folder.
        n_trials: Number of trials in total, complete or pruned; running again goes on to it.
        n_jobs: Number of workers; None for as many as there are cores or GPUs.
        workers_per_gpu: How many workers share a GPU.
        storage: URL of a database; None for a journal in the study's folder.
        max_failure_rate: Largest share of failed trials among ``n_trials``.
        dashboard: Whether trials get notes and pictures for optuna-dashboard.
        sampler: Configuration of an Optuna sampler.
        pruner: Configuration of an Optuna pruner.
        params: The search space, in Hydra's override grammar.
        reuse: Folder of another study, or several, whose trials are taken over where their
            training is the same; None for none.
    """

    def __init__(
        self,
        study_name: str,
        n_trials: int,
        n_jobs: int | None,
        workers_per_gpu: int,
        storage: str | None,
        max_failure_rate: float,
        dashboard: bool,
        sampler: DictConfig,
        pruner: DictConfig,
        params: DictConfig,
        reuse: Any = None,
    ) -> None:
        if Path(study_name).name != study_name or study_name in ("", ".."):
            raise InputError(
                f"hydra.sweeper.study_name: must be the name of a folder; got '{study_name}'"
            )
        for key, value in (
            ("n_trials", n_trials), ("n_jobs", n_jobs), ("workers_per_gpu", workers_per_gpu)
        ):  # fmt: skip
            if value is not None and value < 1:
                raise InputError(f"hydra.sweeper.{key}: must be at least 1; got {value}")
        if not 0 <= max_failure_rate <= 1:
            raise InputError(
                f"hydra.sweeper.max_failure_rate: must be from 0 to 1; got {max_failure_rate}"
            )
        if dashboard:
            from sweep.report.dashboard.notes import check_dashboard

            check_dashboard("hydra.sweeper.dashboard=true")
        self.study_name = study_name
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.workers_per_gpu = workers_per_gpu
        self.storage: StorageUrl | None = None  # see setup
        self._url = storage
        self.max_failure_rate = max_failure_rate
        self.dashboard = dashboard
        self.reuse = _folders("hydra.sweeper.reuse", reuse)
        # Without what surrounds them, which is the whole configuration.
        self.sampler = DictConfig(OmegaConf.to_container(sampler))
        self.pruner = DictConfig(OmegaConf.to_container(pruner))
        self.params: dict[str, Any] = {
            str(key): value
            for key, value in OmegaConf.to_container(params).items()  # type: ignore[union-attr]
        }

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before :meth:`sweep`."""
        self.hydra_context: HydraContext = hydra_context
        self.config: DictConfig = config
        self._hide_password(config)
        # An "override hydra/launcher" in conf/config.yaml would win over those of experiments, so
        # Hydra's own default is replaced here.
        chosen = any(word.startswith("hydra/launcher=") for word in config.hydra.overrides.hydra)
        if config.hydra.runtime.choices["hydra/launcher"] == "basic" and not chosen:
            launcher = OmegaConf.load(CONF_DIR / "hydra" / "launcher" / "local.yaml")
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.launcher = OmegaConf.create(OmegaConf.to_container(launcher))

    def _hide_password(self, config: DictConfig) -> None:
        """Take the storage's URL out of the configuration, which is recorded and pickled.

        Raises:
            InputError: if it can be read in more than one way.
        """
        if self._url is None:
            return
        from sweep.study.storage_url import StorageUrl, mask_node

        sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
        self.storage = StorageUrl(sweeper["storage"], self._url)
        mask_node(config)
        known: Any = HydraConfig.instance().cfg
        if known is not None:
            mask_node(known)

    def sweep(self, arguments: list[str]) -> None:
        """Check everything, then work on the study until it is done.

        Raises:
            InputError: on anything in configuration or data that is not valid.
            SweepError: if too many trials failed, or records of finished trials are gone.
            PermissionError: if another user's trials of the study cannot be read.
            KeyboardInterrupt: if the user stopped it before all trials were finished.
        """
        from sweep.hydra_plugin.launching import launch_with
        from sweep.hydra_plugin.recipes import recipes_of
        from sweep.report.finish import finish
        from sweep.study.definition import claim_study
        from sweep.study.lost import check_readable, lost_trials
        from sweep.study.phase import search_phase
        from sweep.study.references import enqueue_references
        from sweep.study.rejudging import judge_again
        from sweep.study.reuse import check_reuse, enqueue_reusable
        from sweep.study.storage_url import StorageUrl
        from sweep.tracking.follower import check_access
        from sweep.training.factory import read_data
        from sweep.workers.launchers import launcher_kind
        from sweep.workers.pool import WorkerPool
        from sweep.workers.session import Session

        kind = launcher_kind(str(self.config.hydra.launcher._target_))
        spec = self.spec(arguments)
        spec.check()
        check_readable(spec.folder)
        check_reuse(spec)
        check_access(spec.base.tracking)
        pool = WorkerPool(
            spec,
            kind,
            partial(launch_with, self.hydra_context, self.config),
            n_jobs=self.n_jobs,
            workers_per_gpu=self.workers_per_gpu,
            annotate=self._annotate(spec.folder),
        )
        dataset = read_data(spec.base)
        loader = self.hydra_context.config_loader
        spec = replace(spec, recipes=recipes_of(spec, dataset, loader, self.config))
        for key, why in spec.space.left_out.items():
            print(f"not searched: {key} ({why})")
        is_new = spec.storage is None and not spec.folder.exists()
        refused = False
        session = Session.create(spec.folder, detached=pool.detached)
        try:
            if spec.storage is not None:
                spec.storage.leave(session.folder)
            record = spec.record()
            if (judged := judge_again(spec, record)) is not None:
                print(judged)
            queue = spec.open()
            if not claim_study(queue, record, spec.folder, alone=session.is_alone()):
                spec.discard()
                queue = spec.open()
                claim_study(queue, record, spec.folder, alone=False)
            if without_room := enqueue_references(spec, queue):
                print(
                    f"not trained: recipe {', '.join(without_room)}, as there are "
                    f"{self.n_trials} trials; hydra.sweeper.n_trials makes room"
                )
            if n_reused := enqueue_reusable(spec, queue):
                folders = ", ".join(map(str, spec.reuse))
                print(f"{n_reused} trials of {folders} lie in the search space: taken over")
            done = pool.run(queue, dataset, session)
        except InputError:
            refused = is_new and not pool.detached and session.is_alone()
            raise
        except TrainingError:  # too many trials failed; the others may still be an answer
            finish(spec.folder, spec.name)
            raise
        finally:
            session.end()
            if not pool.detached:
                StorageUrl.forget(session.folder)
            if refused and not (spec.folder / "trials").exists():  # nothing has been trained
                shutil.rmtree(spec.folder, ignore_errors=True)
        finish(spec.folder, spec.name)
        if not done:
            raise KeyboardInterrupt
        lost = [
            str(trial.number) for trial, _ in lost_trials(search_phase(spec, queue), spec.folder)
        ]
        if lost:
            raise SweepError(
                f"{spec.folder}: the study calls trials {', '.join(lost)} finished, but their "
                "records are gone; the answer above is that of the others"
            )

    def spec(self, arguments: list[str]) -> StudySpec:
        """The study that the configuration and the command line describe.

        Raises:
            InputError: if they cannot be read.
        """
        from sweep.config.checks import check_config
        from sweep.config.schema import ConfirmConfig
        from sweep.hydra_plugin.recipes import follow_recipe
        from sweep.records.objective import Objective
        from sweep.search.automatic import automatic_params
        from sweep.search.last_stage import for_last_stage, of_its_own
        from sweep.search.space import SearchSpace, values_of
        from sweep.study.spec import StudySpec, without_hydra
        from sweep.study.storage_url import mask_node

        loader = self.hydra_context.config_loader
        params = self.params
        if self.config.search.auto is not None:
            composed = without_hydra(loader.load_sweep_config(self.config, values_of(arguments)))
            follow_recipe(composed)
            params = {**automatic_params(composed), **params}
        space = SearchSpace.parse(params, arguments)
        template = loader.load_sweep_config(self.config, space.fixed)
        mask_node(template)
        follow_recipe(template, tell=template.search.stages != "last")
        base = without_hydra(template)
        check_config(base)
        if base.search.stages == "last":
            template = loader.load_sweep_config(self.config, [*space.fixed, *of_its_own(base)])
            mask_node(template)
            follow_recipe(template, tell=True)
            base = without_hydra(template)
            space = for_last_stage(space, base)
        objective = Objective.read(OmegaConf.to_container(base.objective, resolve=True))
        assert objective is not None
        confirm = cast(ConfirmConfig, OmegaConf.to_object(base.search.confirm))
        return StudySpec(
            name=self.study_name,
            folder=Path(self.config.hydra.sweep.dir),
            space=space,
            template=template,
            objective=objective,
            confirm=confirm if confirm.top else None,
            sampler=self.sampler,
            pruner=self.pruner,
            storage=self.storage,
            n_trials=self.n_trials,
            max_failure_rate=self.max_failure_rate,
            reuse=self.reuse,
        )

    def _annotate(self, folder: Path) -> Callable[..., None] | None:
        """What gives trials their notes and pictures; None if they shall have none."""
        if not self.dashboard:
            return None
        from sweep.report.dashboard.notes import Dashboard

        return Dashboard(folder).show


def _folders(key: str, value: Any) -> tuple[Path, ...]:
    """One folder, several, or none.

    Raises:
        InputError: if the value is none of these.
    """
    given = OmegaConf.to_container(value) if OmegaConf.is_list(value) else value
    names = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key}: must be a folder, a list of folders or null; got {given}")
    return tuple(Path(name) for name in names)
