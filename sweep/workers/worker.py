"""A worker: takes the trials of a study one by one, trains and tells, until the study is done."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType

from sweep.config.checks import check_config
from sweep.console import plain
from sweep.errors import LeaseLostError, SweepError
from sweep.study.confirmation import confirmation_phase
from sweep.study.phase import Phase, search_phase
from sweep.study.progress import Progress
from sweep.study.queue import TrialHandle, TrialQueue
from sweep.study.runner import Annotate, TrialRunner
from sweep.study.spec import StudySpec
from sweep.study.static_weights import StaticWeights
from sweep.training.trainer import Trainer
from sweep.workers.heartbeat import Heartbeat

__all__ = ["Worker"]


class Worker:
    """Works on a study in this process.

    Args:
        spec: The study.
        queue: Hands out its trials.
        trainer: What trains.
        progress_of: Makes the display of a phase's trials.
        heartbeat: Shows others that this worker is alive.
        stopped: Whether to stop after the current epoch.
        annotate: Called before Optuna is told of a trial; None for nothing.
    """

    def __init__(
        self,
        spec: StudySpec,
        queue: TrialQueue,
        trainer: Trainer,
        *,
        progress_of: Callable[[Phase], Progress],
        heartbeat: Heartbeat,
        stopped: Callable[[], bool],
        annotate: Annotate | None = None,
    ) -> None:
        self._spec = spec
        self._queue = queue
        self._trainer = trainer
        self._progress_of = progress_of
        self._heartbeat = heartbeat
        self._stopped = stopped
        self._annotate = annotate

    def prepare(self) -> RenderableType:
        """Let the trainer check every term; returns the table of the check, and what is to do.

        Raises:
            InputError: naming every term that cannot be trained, and why.
        """
        base = self._spec.base
        table = self._trainer.check(base, check_config(base))
        left = self._queue.n_trials - len(self._queue.finished())
        line = f"trials to train: {left}; those that are pruned are shorter"
        return Group(table, plain(line)) if left > 0 else table

    def run(self) -> bool:
        """Work until the study is done; returns False if it was stopped before.

        Raises:
            SweepError: if too many trials failed, or nothing can be written.
        """
        self._work_on(search_phase(self._spec, self._queue))
        if not self._queue.is_done():
            return False
        confirmation = confirmation_phase(self._spec, self._queue)
        if confirmation is None:
            return True
        self._work_on(confirmation)
        return confirmation.queue.is_done()

    def _work_on(self, phase: Phase) -> None:
        with self._progress_of(phase) as progress:
            runner = TrialRunner(
                self._spec,
                phase,
                trainer=self._trainer,
                progress=progress,
                stopped=self._stopped,
                annotate=self._annotate,
            )
            runner.restore()
            static = StaticWeights(self._spec, phase.queue, progress, self._stopped)
            while True:
                if phase.searches:
                    self._find_weights(static, progress)
                handle = phase.queue.claim(self._stopped)
                if handle is None:
                    break
                self._run(runner, handle, progress)

    def _find_weights(self, static: StaticWeights, progress: Progress) -> None:
        """Find the static weights that a trial shall begin with, if that is to be done."""
        lease = static.lease()
        if lease is None:
            return
        self._heartbeat.lease = lease
        try:
            static.find(lease)
        except LeaseLostError as error:
            progress.message(f"static weights: {error}")
        except OSError as error:
            raise SweepError(f"{error}; run again to go on") from error
        finally:
            self._heartbeat.lease = None
            lease.release()

    def _run(self, runner: TrialRunner, handle: TrialHandle, progress: Progress) -> None:
        self._heartbeat.lease = handle.lease
        try:
            runner.run(handle)
        except LeaseLostError as error:
            progress.message(f"trial {handle.trial.number}: {error}")
        except OSError as error:  # a full disk, say: not the fault of these weights
            raise SweepError(
                f"{error}; run again to go on with trial {handle.trial.number}"
            ) from error
        finally:
            self._heartbeat.lease = None
            handle.lease.release()
