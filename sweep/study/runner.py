"""A trial of the search: draw its weights, train, prune, and tell Optuna how it went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optuna.trial import Trial, TrialState

from sweep.errors import LeaseLostError, TrainingError
from sweep.locks import locked
from sweep.search.balanced import balanced_parameters
from sweep.search.objectives import SCORE
from sweep.search.samplers import draws_in_turn
from sweep.search.suggestion import Given, describe, is_drawn, same_before, suggest
from sweep.study.duplicates import copy_trial
from sweep.study.queue import FEASIBLE, Claim
from sweep.study.references import BALANCED, default_errors
from sweep.training.run import Decision, EpochReport, Result

if TYPE_CHECKING:
    from sweep.workers.worker import Worker

__all__ = ["Search"]


class Search:
    """Trains the trials of the search.

    Args:
        worker: Trains.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._plan = worker.plan
        self._queue = worker.queue
        self._study = worker.queue.study

    def work_on(self, claim: Claim) -> None:
        """Train a trial, or as much of it as there is time for.

        Raises:
            OSError: if nothing can be written.
            LeaseLostError: if another worker has the trial now.
        """
        trial = claim.trial
        if trial.user_attrs.get("role") == BALANCED and not is_drawn(trial, self._plan.space):
            self._balance(trial)
        try:
            params = self._draw(trial)
            result = self._copy(trial, params) or self._train(claim, params)
            values = self._judge(trial, result)
        except (OSError, LeaseLostError):
            raise
        except Exception as error:  # whatever else went wrong is this trial's
            self._fail(trial, error)
        else:
            self._tell(trial, result, values)

    def _draw(self, trial: Trial) -> dict[str, Any]:
        if draws_in_turn(self._study.sampler):
            with locked(self._queue.lock_path):
                return suggest(trial, self._plan.space)
        return suggest(trial, self._plan.space)

    def _balance(self, trial: Trial) -> None:
        """Let the sampler of this trial draw the balanced weights."""
        worker = self._worker
        worker.progress.message(
            "measuring the gradients of the terms for the balanced weights "
            f"({self._plan.base.search.balance_epochs} epochs)"
        )
        try:
            given = balanced_parameters(self._plan.base, self._plan.space, worker.setup)
        except TrainingError as error:
            worker.progress.message(f"no balanced weights: with the default ones, {error}")
            trial.set_user_attr("role", None)
            return
        self._study.sampler = Given(given)

    def _copy(self, trial: Trial, params: dict[str, Any]) -> Result | None:
        """What an earlier trial with the same weights gave; waits for it if it is at work."""
        while (same := same_before(self._study, trial.number, params)) is not None:
            if same.state == TrialState.RUNNING:
                # If its worker died, it must be free to be the next that this one works on.
                abandoned = not self._queue.is_at_work(same.number)
                if abandoned or self._queue.wait(self._worker.stopped):
                    return Result("STOPPED", math.nan, -1)
                continue
            entries = {"number": trial.number, "role": trial.user_attrs.get("role")}
            content = copy_trial(self._plan.folder / "trials", same.number, entries)
            if content is None:  # its records are gone
                return None
            self._worker.progress.message(
                f"trial {trial.number}: has the weights of trial {same.number}, takes its result"
            )
            return Result(content["state"], content["score"], content["epoch"], content["metrics"])
        return None

    def _train(self, claim: Claim, params: dict[str, Any]) -> Result:
        trial, objectives = claim.trial, self._plan.objectives
        role = trial.user_attrs.get("role")
        cfg = self._plan.composer.compose(params, f"trials/{trial.number:04d}", trial.number)
        reported = set(self._queue.trials()[trial.number].intermediate_values)
        use_best = cfg.objective.epoch == "best"

        def after_epoch(report: EpochReport) -> Decision:
            if report.epoch not in reported:
                score = report.best_score if use_best else report.score
                objectives.report(trial, score, report.epoch)
                reported.add(report.epoch)
            # The references are what everything is compared with: they train to the end. Some
            # pruners note what they have seen, so they see the references too.
            if objectives.should_prune(self._study, trial) and role is None:
                return Decision.PRUNE
            return Decision.STOP if self._worker.stopped() else Decision.CONTINUE

        entries = {"number": trial.number, "role": role, "params": params}
        return self._worker.train(claim, cfg, describe(role, params), after_epoch, entries)

    def _judge(self, trial: Trial, result: Result) -> list[float] | None:
        """Note what a finished trial is worth; the values to minimise of a complete one."""
        if result.state not in ("COMPLETE", "PRUNED"):
            return None
        metrics = result.metrics.get("valid", {})
        objectives = self._plan.objectives
        complete = result.state == "COMPLETE"
        values = objectives.values(result.score, metrics) if complete else None
        trial.set_user_attr(SCORE, result.score)
        if objectives.constraints:
            default = default_errors(self._plan.folder)
            broken = objectives.violations(metrics, default)
            # A sampler must find the same constraints in every trial.
            for name in broken.keys() - trial.constraints.keys():
                trial.set_constraint(name, broken[name])
            trial.set_user_attr(FEASIBLE, all(value <= 0 for value in broken.values()))
        return values

    def _tell(self, trial: Trial, result: Result, values: list[float] | None) -> None:
        if result.state in ("COMPLETE", "PRUNED"):
            self._show(trial)
        if values is not None:
            self._study.tell(trial, values)
        elif result.state == "PRUNED":
            self._study.tell(trial, state=TrialState.PRUNED)
        self._worker.progress.trial_ended(trial.number, result.state, result.score)

    def _fail(self, trial: Trial, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        trial.set_user_attr("reason", reason)
        self._show(trial)
        self._study.tell(trial, state=TrialState.FAIL)
        self._worker.progress.trial_ended(trial.number, "FAILED", math.nan)
        self._worker.progress.message(f"  {reason}")

    def _show(self, trial: Trial) -> None:
        """Give the trial its note and picture; that is never worth a trial."""
        if not self._plan.dashboard:
            return
        from sweep.report.dashboard.notes import Dashboard

        try:
            Dashboard(self._plan.folder).show(trial)
        except Exception as error:
            detail = " ".join(str(error).split()) or type(error).__name__
            self._worker.progress.message(f"trial {trial.number}: no note, {detail}")
