"""The Hydra sweeper: what ``python -m sweep -m`` runs. Imports no torch until all is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError, TrainingError

__all__ = ["StudySweeper"]


class StudySweeper(Sweeper):
    """Searches with Optuna: trial 0 is the configured default, trial 1 the balanced weights.

    Args:
        study_name: Names the study and its folder.
        n_trials: Number of trials in total, complete or pruned; running again goes on to it.
        max_failure_rate: Largest share of failed trials among them.
        sampler: Configuration of an Optuna sampler.
        pruner: Configuration of an Optuna pruner.
        params: The search space, in Hydra's override grammar.
    """

    def __init__(
        self,
        study_name: str,
        n_trials: int,
        max_failure_rate: float,
        sampler: DictConfig,
        pruner: DictConfig,
        params: DictConfig,
    ) -> None:
        if Path(study_name).name != study_name or study_name in ("", ".."):
            raise InputError(
                f"hydra.sweeper.study_name: must be the name of a folder; got '{study_name}'"
            )
        if n_trials < 1:
            raise InputError(f"hydra.sweeper.n_trials: must be at least 1; got {n_trials}")
        if not 0 <= max_failure_rate <= 1:
            raise InputError(
                f"hydra.sweeper.max_failure_rate: must be from 0 to 1; got {max_failure_rate}"
            )
        self.study_name = study_name
        self.n_trials = n_trials
        self.max_failure_rate = max_failure_rate
        self.sampler = sampler
        self.pruner = pruner
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

    def compose(self, overrides: list[str], *, number: int | None = None) -> DictConfig:
        """The configuration of a trial, with the ``hydra`` node; ``number`` sets its folder."""
        own = [] if number is None else [f"hydra.sweep.subdir='trials/{number:04d}'"]
        cfg = self.hydra_context.config_loader.load_sweep_config(self.config, overrides + own)
        if number is not None:
            cfg.hydra.job.num = number
            cfg.hydra.job.id = f"{self.study_name}/{number}"
        return cfg

    def sweep(self, arguments: list[str]) -> None:
        """Check everything, then work on the study until it is done.

        Raises:
            InputError: on anything in configuration or data that is not valid.
            SweepError: if too many trials failed.
            KeyboardInterrupt: if the user stopped it before all trials were finished.
        """
        from sweep.checks import check_config
        from sweep.data.dataset import load
        from sweep.study.definition import check_same, definition
        from sweep.study.finish import finish
        from sweep.study.optimization import make_sampler, open_study
        from sweep.study.space import SearchSpace
        from sweep.study.trials import TrialQueue

        space = SearchSpace.parse(self.params, arguments)
        base = without_hydra(self.compose(space.overrides({})))
        check_config(base)
        space.defaults(base)
        space.check(base)
        dataset = load(base.heads, seed=base.seed)
        folder = Path(self.config.hydra.sweep.dir)
        study = open_study(folder, self.study_name, self.sampler, self.pruner, seed=base.seed)
        check_same(study, definition(base, space), str(folder))

        queue = TrialQueue(
            study,
            folder,
            lambda number: make_sampler(self.sampler, seed=base.seed, number=number),
            n_trials=self.n_trials,
            max_failure_rate=self.max_failure_rate,
        )
        done = len(queue.finished()) >= self.n_trials
        if not done:
            from sweep.study.worker import Worker

            try:
                done = Worker(self, study, queue, folder, space, base, dataset).run()
            except TrainingError:  # too many trials failed; the others may still be an answer
                finish(folder, self.study_name)
                raise
        finish(folder, self.study_name)
        if not done:
            raise KeyboardInterrupt


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The configuration as a task sees it."""
    task: DictConfig = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return task
