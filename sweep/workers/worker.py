"""A worker: takes the trials of a study one by one, trains and tells, until the study is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig
from rich.console import RenderableType

from sweep.config.checks import check_config, stages_of
from sweep.data.dataset import DataSet
from sweep.errors import LeaseLostError, SweepError
from sweep.study.confirmation import Confirmation
from sweep.study.hydra_job import hydra_job
from sweep.study.queue import Claim, TrialQueue
from sweep.study.runner import Search
from sweep.study.spec import Plan
from sweep.training.job import train_trial
from sweep.training.preflight import preflight
from sweep.training.run import Decision, EpochReport, Result
from sweep.training.setup import Setup
from sweep.workers.display import Progress
from sweep.workers.heartbeat import Heart

__all__ = ["Worker"]


class Worker:
    """Works on a study in this process.

    Args:
        plan: What the study is.
        queue: Hands out its trials.
        dataset: The checked data.
        progress_of: Makes the display of a queue's trials.
        heart: Shows others that this worker lives.
        stopped: Whether it shall end after the current epoch.
    """

    def __init__(
        self,
        plan: Plan,
        queue: TrialQueue,
        dataset: DataSet,
        *,
        progress_of: Callable[[TrialQueue], Progress],
        heart: Heart,
        stopped: Callable[[], bool],
    ) -> None:
        self.plan = plan
        self.queue = queue
        self.dataset = dataset
        self._progress_of = progress_of
        self.heart = heart
        self.stopped = stopped

    @property
    def setup(self) -> Setup:
        """Data and model of the configured default."""
        return Setup.get(self.plan.base, self.dataset)

    def prepare(self) -> RenderableType:
        """Build graphs and model and check every term on them; returns the table of the check.

        Raises:
            InputError: naming every term that cannot be trained, and why.
        """
        return preflight(self.setup, check_config(self.plan.base))

    def run(self) -> bool:
        """Work until the study is done; returns False if it was stopped before.

        Raises:
            SweepError: if too many trials failed, or nothing can be written.
        """
        self._serve(self.queue, Search(self).work_on)
        if not self.queue.is_done() or self.plan.confirm is None:
            return self.queue.is_done()
        confirmation = Confirmation(self)
        self._serve(confirmation.queue, confirmation.work_on)
        return confirmation.queue.is_done()

    def _serve(self, queue: TrialQueue, work_on: Callable[[Claim], None]) -> None:
        self.progress = self._progress_of(queue)
        with self.progress:
            while (claim := queue.claim(self.stopped)) is not None:
                self._work_on(claim, work_on)

    def _work_on(self, claim: Claim, work_on: Callable[[Claim], None]) -> None:
        self.heart.lease = claim.lease
        try:
            work_on(claim)
        except LeaseLostError as error:
            self.progress.message(f"trial {claim.trial.number}: {error}")
        except OSError as error:  # a full disk, say: not the fault of these weights
            raise SweepError(
                f"{error}; run again to go on with trial {claim.trial.number}"
            ) from error
        finally:
            self.heart.lease = None
            claim.lease.release()

    def train(
        self,
        claim: Claim,
        cfg: DictConfig,
        what: str,
        after_epoch: Callable[[EpochReport], Decision],
        entries: Mapping[str, Any],
    ) -> Result:
        """Train a trial as a Hydra job, which writes its ``.hydra`` folder.

        Args:
            claim: The trial.
            cfg: Its configuration, with the ``hydra`` node, which says where its folder is and
                which it loses.
            what: Describes it to the user.
            after_epoch: Sees every epoch after it was shown, and says how to go on.
            entries: What else ``trial.json`` shall hold.

        Raises:
            Exception: whatever ended the training.
        """
        number = claim.trial.number
        folder = self.plan.folder / cfg.hydra.sweep.subdir

        def show(report: EpochReport) -> Decision:
            self.progress.epoch(number, report.epoch, report.score, report.shares)
            return after_epoch(report)

        with hydra_job(cfg) as task_cfg:
            # The study's configuration was checked, and the ends of what is searched in it.
            stages = stages_of(task_cfg)
            self.progress.trial_started(number, what, stages[-1].end + 1)
            return train_trial(
                task_cfg, stages, self.dataset, folder, show,
                entries=entries, before_commit=claim.lease.check,
            )  # fmt: skip
