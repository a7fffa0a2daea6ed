"""A trial from its parameters to what Optuna is told of it: draw, train, prune, judge, tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

from omegaconf import DictConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.config.checks import stages_of
from sweep.errors import LeaseLostError, SweepError
from sweep.locks import locked
from sweep.records import Trial as RecordedTrial
from sweep.records.judging import by_objective
from sweep.records.prefix import CHECKPOINT
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.search.objectives import SCORE
from sweep.search.outside import is_outside
from sweep.search.samplers import draws_in_turn
from sweep.search.suggestion import suggest
from sweep.study.composition import Composer
from sweep.study.history import FEASIBLE
from sweep.study.hydra_job import hydra_job
from sweep.study.leases import Lease
from sweep.study.lost import can_go_on, lost_trials
from sweep.study.phase import AnyTrial, Phase, Training
from sweep.study.prefixes import Prefixes, scores_before
from sweep.study.progress import Progress
from sweep.study.queue import TrialHandle
from sweep.study.references import BALANCED, ORIGIN, default_errors, enqueue_references
from sweep.study.reuse import Reusable
from sweep.study.spec import StudySpec, without_hydra
from sweep.tracking.follower import Tracking
from sweep.training.job import train_trial
from sweep.training.trainer import AfterEpoch, Decision, EpochReport, Trainer

__all__ = ["Annotate", "TrialRunner"]

Annotate = Callable[[Trial], None]
"""Adds to a trial what a dashboard shows of it, before Optuna is told and freezes it."""


class TrialRunner:
    """Trains the trials of one phase of a study.

    Args:
        spec: The study.
        phase: What of it.
        trainer: What trains.
        progress: The display.
        stopped: Whether to stop after the current epoch.
        annotate: Called before Optuna is told of a trial; None for nothing.
    """

    def __init__(
        self,
        spec: StudySpec,
        phase: Phase,
        *,
        trainer: Trainer,
        progress: Progress,
        stopped: Callable[[], bool],
        annotate: Annotate | None = None,
    ) -> None:
        self._spec = spec
        self._phase = phase
        self._queue = phase.queue
        self._study = phase.queue.study
        self._composer = Composer(spec.template, spec.space, spec.name)
        self._trainer = trainer
        self._progress = progress
        self._stopped = stopped
        self._annotate = annotate
        self._reusable: Reusable | None = None  # read when first asked for
        self._prefixes = Prefixes(spec, phase.queue)

    @functools.cached_property
    def _tracking(self) -> Tracking:
        spec = self._spec
        tell = self._progress.message
        return Tracking(spec.base.tracking, spec.folder, study=spec.name, tell=tell)

    def run(self, handle: TrialHandle) -> None:
        """Train a trial, or as much of it as there is time for.

        Raises:
            OSError: if nothing can be written.
            LeaseLostError: if another worker has the trial now.
        """
        trial = handle.trial
        try:
            if self._phase.searches:
                self._draw(trial)
            training = self._phase.training_of(trial)
            writer = self._writer(handle.lease, training)
            result = self._copy(trial, training, writer) or self._train(trial, training, writer)
            values = self._judge(trial, result)
        except (OSError, LeaseLostError):
            raise
        except Exception as error:  # whatever else went wrong is this trial's
            handle.lease.check()
            end = functools.partial(self._fail, trial, error)
        else:
            handle.lease.check()
            end = functools.partial(self._tell, trial, result, values)
        try:
            end()
        except (UpdateFinishedTrialError, ValueError) as error:  # the second is what tell raises
            if not self._queue.trials()[trial.number].state.is_finished():
                raise
            # Another was faster since.
            raise LeaseLostError(f"trial {trial.number}: ended by another worker") from error

    def restore(self) -> None:
        """Finish again what the study calls finished and the records do not, where that can be.

        Raises:
            OSError: if nothing can be written.
            LeaseLostError: if another worker has the trial now.
            SweepError: naming a trial that could not be finished again.
        """
        for trial, training in lost_trials(self._phase, self._spec.folder):
            if not can_go_on(self._spec.folder / training.subdir):
                continue  # the sweep names it in the end
            lease = self._queue.lease(trial.number)
            if lease is None:
                continue
            try:
                self._finish_again(trial, training, self._writer(lease, training))
            finally:
                lease.release()

    def _finish_again(self, trial: FrozenTrial, training: Training, writer: TrialWriter) -> None:
        self._progress.message(
            f"trial {trial.number}: its record is damaged or gone; it is finished again"
        )
        last = max(trial.intermediate_values, default=-1)

        def after_epoch(report: EpochReport) -> Decision:
            self._show_epoch(trial, report)
            if trial.state == TrialState.PRUNED and report.epoch >= last:
                return Decision.PRUNE
            return Decision.STOP if self._stopped() else Decision.CONTINUE

        try:
            result = self._copy(trial, training, writer)
            if result is None:
                result = self._train_with(trial, training, writer, after_epoch)
        except (OSError, LeaseLostError):
            raise
        except Exception as error:
            raise SweepError(
                f"trial {trial.number}: its record was damaged, and it cannot be finished again: "
                f"{error}"
            ) from error
        self._progress.trial_ended(trial.number, result.state, result.score)

    def _draw(self, trial: Trial) -> None:
        if is_outside(trial):
            return
        if draws_in_turn(self._study.sampler):
            with locked(self._queue.lock_path):
                suggest(trial, self._spec.space)
        else:
            suggest(trial, self._spec.space)

    def _writer(self, lease: Lease, training: Training) -> TrialWriter:
        entries = {"number": training.number, "role": training.role, "params": training.params}
        if training.origin is not None:
            entries[ORIGIN] = training.origin
        return TrialWriter(self._spec.folder / training.subdir, entries, lease.check)

    def _copy(self, trial: AnyTrial, training: Training, writer: TrialWriter) -> Result | None:
        """The result of a training that was the same, in this study or another; None if none was.

        Waits for one of this study that is at work.
        """
        is_point = self._phase.searches and not is_outside(trial)
        result = self._copy_own(trial, training, writer) if is_point else None
        if result is None and not (writer.folder / CHECKPOINT).exists():
            result = self._reuse(trial, training, writer)
        if result is None or result.state is State.STOPPED:
            return result
        judged = by_objective(RecordedTrial.read(writer.folder), self._spec.objective)
        metrics = {
            split: {key: value for key, value in values.items() if value is not None}
            for split, values in judged.results.items()
        }
        score = math.nan if judged.score is None else judged.score
        if follower := self._tracking.follow(writer.folder, _name(training)):
            follower.begin()
            follower.end(result.state)
        return replace(result, score=score, metrics=metrics)

    def _reuse(self, trial: AnyTrial, training: Training, writer: TrialWriter) -> Result | None:
        """The result of the same training in another study."""
        if not self._spec.reuse:
            return None
        if self._reusable is None:
            self._reusable = Reusable(self._spec)
        source = self._reusable.folder_for(without_hydra(self._compose(trial, training)))
        result = None if source is None else writer.reuse(source)
        if result is not None:
            self._progress.message(f"trial {trial.number}: was trained in {source}, reused")
        return result

    def _compose(self, trial: AnyTrial, training: Training) -> DictConfig:
        """The configuration of a trial, with the ``hydra`` node."""
        return self._composer.compose(
            training.params, training.subdir, trial.number, training.further
        )

    def _copy_own(self, trial: AnyTrial, training: Training, writer: TrialWriter) -> Result | None:
        """The result of an earlier trial with the same weights; waits for it if it is at work."""
        while (same := self._queue.same_before(trial.number, training.params)) is not None:
            if same.state == TrialState.RUNNING:
                # If its worker died, it must be free to be the next that this one works on.
                abandoned = not self._queue.is_at_work(same.number)
                if abandoned or self._queue.wait(self._stopped):
                    return Result(State.STOPPED, math.nan, -1)
                continue
            result = writer.copy(same.number)
            if result is not None:
                self._progress.message(
                    f"trial {trial.number}: has the weights of trial {same.number}, "
                    "takes its result"
                )
            return result
        return None

    def _train(self, trial: Trial, training: Training, writer: TrialWriter) -> Result:
        """Train and tell Optuna of every epoch."""
        objectives = self._phase.objectives
        reported = set(self._queue.trials()[trial.number].intermediate_values)
        use_best = self._spec.base.objective.epoch == "best"
        # The references are what everything is compared with: they train to the end.
        may_prune = self._phase.searches and training.role is None

        def after_epoch(report: EpochReport) -> Decision:
            self._show_epoch(trial, report)
            if not report.is_evaluated:
                return Decision.STOP if self._stopped() else Decision.CONTINUE
            for epoch, score in scores_before(report, reported, writer.folder, use_best):
                objectives.report(trial, score, epoch)
                reported.add(epoch)
                if self._phase.searches:  # it sees what it would have seen of a whole training
                    objectives.should_prune(self._study, trial)
            reported.update(range(report.epoch))  # the others were not evaluated
            if report.epoch not in reported:
                score = report.best_score if use_best else report.score
                objectives.report(trial, score, report.epoch)
                reported.add(report.epoch)
            # Some pruners note what they have seen, so they see the references too.
            if self._phase.searches and objectives.should_prune(self._study, trial) and may_prune:
                return Decision.PRUNE
            return Decision.STOP if self._stopped() else Decision.CONTINUE

        return self._train_with(trial, training, writer, after_epoch)

    def _show_epoch(self, trial: AnyTrial, report: EpochReport) -> None:
        self._progress.epoch(trial.number, report.epoch, report.score, report.shares)
        if report.remark is not None:
            self._progress.message(f"trial {trial.number}: {report.remark}")

    def _train_with(
        self, trial: AnyTrial, training: Training, writer: TrialWriter, after_epoch: AfterEpoch
    ) -> Result:
        """Train as a Hydra job, which writes its ``.hydra`` folder."""
        with hydra_job(self._compose(trial, training)) as task_cfg:
            # The study's configuration was checked, and the ends of what is searched in it.
            stages = stages_of(task_cfg)
            prefix = self._prefixes.of(task_cfg, stages)
            if prefix is not None and not (writer.folder / CHECKPOINT).exists():
                self._prefixes.wait(prefix, trial.number, self._stopped)
                if self._stopped():
                    return Result(State.STOPPED, math.nan, -1)
            self._progress.trial_started(trial.number, training.what, stages[-1].end + 1)
            follower = self._tracking.follow(writer.folder, _name(training))
            result = train_trial(
                self._trainer, task_cfg, stages, writer, after_epoch, prefix, follower
            )
        if "ended_early" in result.details:
            self._progress.message(f"trial {trial.number}: {result.details['ended_early']}")
        return result

    def _judge(self, trial: Trial, result: Result) -> list[float] | None:
        """Note what a finished trial is worth; the values to minimise of a complete one."""
        if result.state not in (State.COMPLETE, State.PRUNED):
            return None
        metrics = result.metrics.get("valid", {})
        objectives = self._phase.objectives
        complete = result.state == State.COMPLETE
        values = objectives.values(result.score, metrics) if complete else None
        trial.set_user_attr(SCORE, result.score)
        if objectives.constraints:
            default = default_errors(self._spec.folder)
            broken = objectives.violations(metrics, default)
            # A sampler must find the same constraints in every trial.
            for name in broken.keys() - trial.constraints.keys():
                trial.set_constraint(name, broken[name])
            trial.set_user_attr(FEASIBLE, all(value <= 0 for value in broken.values()))
        return values

    def _tell(self, trial: Trial, result: Result, values: list[float] | None) -> None:
        if result.state in (State.COMPLETE, State.PRUNED):
            self._show(trial)
        if values is not None:
            self._study.tell(trial, values)
            if self._phase.searches and trial.user_attrs.get("role") == BALANCED:
                enqueue_references(self._spec, self._queue)  # now its static copy is known
        elif result.state == State.PRUNED:
            self._study.tell(trial, state=TrialState.PRUNED)
        self._progress.trial_ended(trial.number, result.state, result.score)

    def _fail(self, trial: Trial, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        trial.set_user_attr("reason", reason)
        self._show(trial)
        self._study.tell(trial, state=TrialState.FAIL)
        self._progress.trial_ended(trial.number, State.FAILED, math.nan)
        self._progress.message(f"  {reason}")

    def _show(self, trial: Trial) -> None:
        """Give the trial of a search its note and picture; that is never worth a trial."""
        if self._annotate is None or not self._phase.searches:
            return
        try:
            self._annotate(trial)
        except Exception as error:
            detail = " ".join(str(error).split()) or type(error).__name__
            self._progress.message(f"trial {trial.number}: no note, {detail}")


def _name(training: Training) -> str:
    """What a tracker calls a trial: ``0003``, ``confirm/0000-seed1``."""
    return training.subdir.removeprefix("trials/")
