"""Training the best trials and the default again with fresh seeds: is the gain beyond the noise?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from sweep.errors import LeaseLostError
from sweep.search.objectives import SCORE
from sweep.study.confirmation_queue import describe_training, open_confirmation, training_folder
from sweep.study.queue import Claim
from sweep.training.run import Decision, EpochReport

if TYPE_CHECKING:
    from sweep.workers.worker import Worker

__all__ = ["Confirmation"]


class Confirmation:
    """Trains chosen trials of a finished search again.

    Args:
        worker: Trains.

    Attributes:
        queue: Hands out the trainings.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._plan = worker.plan
        self.queue = open_confirmation(worker.plan, worker.queue)

    def work_on(self, claim: Claim) -> None:
        """Train a trial again, to the end, whatever it looks like on the way.

        Raises:
            OSError: if nothing can be written.
            LeaseLostError: if another worker has the training now.
        """
        worker, trial = self._worker, claim.trial
        of, seed, params = (trial.user_attrs[key] for key in ("of", "seed", "params"))
        subdir = f"confirm/{training_folder(of, seed)}"
        reported = set(self.queue.trials()[trial.number].intermediate_values)
        cfg = self._plan.composer.compose(params, subdir, trial.number, seed=seed)

        def after_epoch(report: EpochReport) -> Decision:
            if report.epoch not in reported:
                trial.report(report.score, report.epoch)
            return Decision.STOP if worker.stopped() else Decision.CONTINUE

        entries = {"number": of, "role": None, "params": params}
        try:
            result = worker.train(claim, cfg, describe_training(of, seed), after_epoch, entries)
        except (OSError, LeaseLostError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            trial.set_user_attr("reason", reason)
            self.queue.study.tell(trial, state=TrialState.FAIL)
            worker.progress.trial_ended(trial.number, "FAILED", math.nan)
            worker.progress.message(f"  {reason}")
            return
        if result.state == "COMPLETE":
            trial.set_user_attr(SCORE, result.score)
            self.queue.study.tell(trial, result.score)
        worker.progress.trial_ended(trial.number, result.state, result.score)
