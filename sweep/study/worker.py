"""A worker: takes the trials of a study one by one, trains and tells, until the study is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import run_job
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from sweep.checks import check_config
from sweep.data.dataset import DataSet
from sweep.errors import SweepError, TrainingError
from sweep.progress import Progress, make_progress
from sweep.study.balanced import balanced_parameters
from sweep.study.interrupt import GracefulStop
from sweep.study.space import SearchSpace
from sweep.study.storage import locked
from sweep.study.sweeper import StudySweeper, without_hydra
from sweep.study.trials import Claim, TrialQueue
from sweep.training.context import Context
from sweep.training.job import train_trial
from sweep.training.preflight import preflight
from sweep.training.run import EpochReport, Outcome, Verdict

__all__ = ["Worker"]


class Worker:
    """Works on a study in this process.

    Args:
        sweeper: Composes the configuration of each trial.
        study: The study, with sampler and pruner.
        queue: Hands out its trials.
        folder: Folder of the study.
        space: The search space.
        base: The configuration of trial 0.
        dataset: The checked data.
    """

    def __init__(
        self,
        sweeper: StudySweeper,
        study: optuna.Study,
        queue: TrialQueue,
        folder: Path,
        space: SearchSpace,
        base: DictConfig,
        dataset: DataSet,
    ) -> None:
        self.sweeper = sweeper
        self.study = study
        self.queue = queue
        self.folder = folder
        self.space = space
        self.base = base
        self.dataset = dataset
        self.progress: Progress = make_progress(n_trials=queue.n_trials, standing=queue.standing)

    def run(self) -> bool:
        """Work until the study is done; returns False if the user stopped it before.

        Raises:
            SweepError: if too many trials failed.
        """
        self.progress.message("building graphs and model")
        context = Context.get(self.base, self.dataset)
        self.progress.show(preflight(context, check_config(self.base)))
        self._enqueue_references(context)
        with self.progress, GracefulStop() as stop:
            while not stop.requested:
                claim = self.queue.claim(lambda: stop.requested)
                if claim is None:
                    break
                try:
                    self._work_on(claim, stop)
                except OSError as error:  # a full disk, say: not the fault of these weights
                    raise SweepError(
                        f"{error}; run again to go on with trial {claim.trial.number}"
                    ) from error
                finally:
                    claim.release()
        return len(self.queue.finished()) >= self.queue.n_trials

    def _enqueue_references(self, context: Context) -> None:
        """See to it that trial 0 is the default and trial 1 the balanced weights."""
        with locked(self.queue.lock_path):
            roles = {t.user_attrs.get("role") for t in self.study.get_trials(deepcopy=False)}
            defaults = self.space.defaults(self.base)
            if "default" not in roles:
                self.study.enqueue_trial(defaults, user_attrs={"role": "default"})
            if "balanced" in roles:
                return
            self.progress.message(
                "measuring the gradients of the terms for the balanced weights "
                f"({self.base.search.balance_epochs} epochs)"
            )
            try:
                balanced = balanced_parameters(self.base, self.space, context)
            except TrainingError as error:
                self.progress.message(f"no balanced weights: with the default ones, {error}")
                return
            if balanced != defaults:
                self.study.enqueue_trial(balanced, user_attrs={"role": "balanced"})

    def _work_on(self, claim: Claim, stop: GracefulStop) -> None:
        trial = claim.trial
        params = {key: _suggest(trial, key, dist) for key, dist in
                  self.space.distributions.items()}  # fmt: skip
        try:
            cfg = self.sweeper.compose(self.space.overrides(params), number=trial.number)
            n_epochs = check_config(without_hydra(cfg))[-1].end + 1
        except (SweepError, HydraException, OmegaConfBaseException) as error:
            self._fail(trial, error)
            return
        role = trial.user_attrs.get("role")
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        reported = set(frozen.intermediate_values)
        use_best = cfg.objective.epoch == "best"

        def after_epoch(report: EpochReport) -> Verdict:
            self.progress.epoch(report)
            if report.epoch not in reported:
                trial.report(report.best_score if use_best else report.score, report.epoch)
                reported.add(report.epoch)
            # The references are what everything is compared with: they train to the end.
            if role is None and trial.should_prune():
                return Verdict.PRUNE
            return Verdict.STOP if stop.requested else Verdict.CONTINUE

        def task(task_cfg: DictConfig) -> Outcome | Exception:
            folder = self.folder / "trials" / f"{trial.number:04d}"
            entries = {"number": trial.number, "role": role, "params": params}
            try:
                return train_trial(task_cfg, self.dataset, folder, after_epoch, entries=entries)
            except Exception as error:  # raised from here Hydra would print lines of its own
                return error

        self.progress.trial_started(trial.number, _describe(role, params), n_epochs)
        done = run_job(
            task_function=task,
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.sweeper.hydra_context,
            configure_logging=False,
        )
        result: Outcome | Exception = done.return_value
        if isinstance(result, OSError):
            raise result
        if isinstance(result, Exception):  # whatever else went wrong is this trial's
            self._fail(trial, result)
        else:
            self._tell(trial, result)

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.state == "COMPLETE":
            self.study.tell(trial, outcome.score)
        elif outcome.state == "PRUNED":
            self.study.tell(trial, state=TrialState.PRUNED)
        self.progress.trial_ended(outcome.state, outcome.score)

    def _fail(self, trial: Trial, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)
        self.progress.trial_ended("FAILED", math.nan)
        self.progress.message(f"  {reason}")


def _suggest(trial: Trial, key: str, distribution: optuna.distributions.BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(
        key, distribution.low, distribution.high, log=distribution.log, step=distribution.step
    )


def _describe(role: str | None, params: Mapping[str, Any]) -> str:
    short = {key.removeprefix("loss.").removesuffix(".weight"): value for key, value in
             params.items()}  # fmt: skip
    values = " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in short.items()
    )
    return f"{role} weights: {values}" if role else values
