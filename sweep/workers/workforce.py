"""Who works on a study: a worker in this process, or several started by a Hydra launcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.data.dataset import DataSet
from sweep.errors import InputError
from sweep.study.confirmation_queue import open_confirmation
from sweep.study.queue import TrialQueue
from sweep.study.spec import Plan
from sweep.workers.resources import default_n_jobs, gpu_slots
from sweep.workers.session import Session

if TYPE_CHECKING:
    from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["Workforce"]

# Launchers that run their jobs on this machine, by the last part of their target: their workers
# share its cores and GPUs, and end with the sweep. All others are taken for clusters.
_IN_PROCESS = "BasicLauncher"
_LOCAL = ("LocalLauncher", "JoblibLauncher")


class Workforce:
    """The workers that a configuration asks for.

    Args:
        sweeper: What Hydra runs.
        plan: What the study is.

    Attributes:
        detached: They outlive this process, as the jobs of a cluster do.

    Raises:
        InputError: if it asks for none that can be had.
    """

    def __init__(self, sweeper: StudySweeper, plan: Plan) -> None:
        self._sweeper = sweeper
        self._plan = plan
        trainer = plan.base.trainer
        self._launcher = str(sweeper.config.hydra.launcher._target_).rpartition(".")[2]
        self.detached = self._launcher not in (*_LOCAL, _IN_PROCESS)
        self._slots: list[str] = []
        if trainer.device.startswith("cuda") and not self.detached:
            self._slots = gpu_slots(trainer.device, sweeper.workers_per_gpu)
        self._n_jobs = sweeper.n_jobs or 1
        if sweeper.n_jobs is None and self._launcher in _LOCAL:
            self._n_jobs = len(self._slots) or default_n_jobs(trainer.num_threads)
        elif sweeper.n_jobs is None and self.detached:
            raise InputError(
                "hydra.sweeper.n_jobs: say how many workers the cluster shall start, for example 8"
            )

    def run(
        self, queue: TrialQueue, dataset: DataSet, arguments: list[str], session: Session
    ) -> bool:
        """Work until the study is done; returns False if the user stopped it before.

        Raises:
            SweepError: if too many trials failed, or nothing can be written.
        """
        left = queue.n_trials - len(queue.finished())
        if (confirm := self._plan.confirm) is not None:
            left = max(left, (confirm.top + 1) * confirm.seeds)
            done = queue.is_done() and open_confirmation(self._plan, queue).is_done()
        else:
            done = queue.is_done()
        if done:
            return True
        n_jobs = max(1, min(self._n_jobs, left))
        if not self.detached and (n_jobs == 1 or self._launcher == _IN_PROCESS):
            return self._work_here(queue, dataset)
        from sweep.workers.launch import Launch

        launch = Launch(
            self._sweeper,
            self._plan,
            arguments,
            session,
            n_jobs=n_jobs,
            slots=self._slots,
        )
        return launch.run(queue)

    def _work_here(self, queue: TrialQueue, dataset: DataSet) -> bool:
        from sweep.console import make_console
        from sweep.workers.display import make_progress
        from sweep.workers.heartbeat import Heart
        from sweep.workers.signals import GracefulStop
        from sweep.workers.worker import Worker

        console = make_console()
        if self._n_jobs > 1 and self._launcher == _IN_PROCESS:
            console.print("hydra/launcher=basic runs in this process: 1 worker", highlight=False)
        console.print("building graphs and model", highlight=False)
        stop = GracefulStop()
        heart = Heart(beat=lambda: None, must_die=lambda: False)
        worker = Worker(
            self._plan,
            queue,
            dataset,
            progress_of=lambda of: make_progress(n_trials=of.n_trials, standing=of.standing),
            heart=heart,
            stopped=lambda: stop.requested,
        )
        console.print(worker.prepare())
        with stop, heart:
            return worker.run()
