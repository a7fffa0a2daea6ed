"""What a launched job runs: one worker of a study, in a process of its own."""

from __future__ import annotations

import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from sweep.config.schema import register
from sweep.errors import InputError, SweepError
from sweep.study.queue import TrialQueue
from sweep.study.spec import Plan
from sweep.workers.heartbeat import Heart
from sweep.workers.session import Session
from sweep.workers.signals import GracefulStop

if TYPE_CHECKING:
    from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["Work", "open_patiently"]

_WIDTH = 120
_OPEN_SECONDS, _PAUSE_SECONDS = 60.0, 2.0


@dataclass(frozen=True)
class Work:
    """The task of a launched job; travels to its process by pickle.

    Attributes:
        sweeper: What Hydra runs.
        arguments: The command line.
        session: Folder of the session.
        detached: This worker outlives the sweep.
        slots: ``CUDA_VISIBLE_DEVICES`` of each worker, in turn; empty to leave it.
        redirect: What it prints goes to a file, as the launcher does not see to that.
    """

    sweeper: StudySweeper
    arguments: list[str]
    session: Path
    detached: bool
    slots: list[str]
    redirect: bool

    def __call__(self, cfg: DictConfig) -> None:
        """Work until the study is done or the sweep says stop.

        Errors are told to the sweep and printed, not raised: a launcher would add a page to them.
        """
        register()
        index: int = HydraConfig.get().job.num
        if self.slots:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.slots[index % len(self.slots)]
        session = Session(self.session, detached=self.detached)
        session.join(index)
        if self.redirect:
            _redirect(session.worker_folder(index) / "output.log")
        stop = GracefulStop()
        heart = Heart(lambda: session.beat(index), session.stop_now_requested)
        with stop, heart:
            try:
                self._work(session, index, stop, heart)
            except KeyboardInterrupt:
                session.report(index, "ended")
            except Exception as error:
                known = isinstance(error, SweepError)
                text = str(error) if known else f"{type(error).__name__}: {error}"
                if not known:
                    traceback.print_exc()
                session.report(index, "failed", " ".join(text.split()))
                print(f"error: {text}")
            else:
                session.report(index, "ended")
            stop.pass_on()

    def _work(self, session: Session, index: int, stop: GracefulStop, heart: Heart) -> None:
        if session.stop_requested():
            return
        # The GPU of this worker's slot is the only one that it sees.
        own = ["trainer.device=cuda"] if self.slots else []
        plan = Plan.make(self.sweeper, [*self.arguments, *own])
        # Torch reads the number of its threads when it is imported.
        os.environ.setdefault("OMP_NUM_THREADS", str(plan.base.trainer.num_threads))
        from sweep.training.load_data import load_data
        from sweep.workers.display import plain_progress
        from sweep.workers.worker import Worker

        queue = open_patiently(plan, session.stop_requested)
        console = Console(width=_WIDTH)
        worker = Worker(
            plan,
            queue,
            load_data(plan.base),
            progress_of=lambda of: plain_progress(
                console, n_trials=of.n_trials, standing=of.standing
            ),
            heart=heart,
            stopped=lambda: stop.requested or session.stop_requested(),
        )
        table = worker.prepare()
        text = io.StringIO()
        Console(width=_WIDTH, file=text).print(table)
        session.report_preflight(index, text.getvalue())
        session.report(index, "working")
        worker.run()


def open_patiently(plan: Plan, stopped: Callable[[], bool]) -> TrialQueue:
    """Open the study as the sweep did before: a database that is away now will come back.

    Raises:
        InputError: if it does not.
    """
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            return plan.open()
        except InputError:
            if time.monotonic() > deadline or stopped():
                raise
        time.sleep(_PAUSE_SECONDS)


def _redirect(path: Path) -> None:
    """Send what this process prints from now on to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
