"""What a launched process runs: one worker of a study."""

from __future__ import annotations

import io
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sweep.config.resolvers import register_resolvers
from sweep.errors import InputError, SweepError
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec
from sweep.workers.heartbeat import Heartbeat
from sweep.workers.session import Session
from sweep.workers.signals import GracefulStop

__all__ = ["WorkerProcess", "open_patiently"]

_WIDTH = 120
_OPEN_SECONDS, _PAUSE_SECONDS = 60.0, 2.0


@dataclass(frozen=True)
class WorkerProcess:
    """The main function of a worker's process, to which it travels by pickle.

    Attributes:
        spec: The study.
        session: Folder of the session.
        detached: The worker outlives the sweep.
        slots: ``CUDA_VISIBLE_DEVICES`` of each worker, in turn; empty to leave it.
        annotate: Called with a trial before Optuna is told of it; None for nothing.
    """

    spec: StudySpec
    session: Path
    detached: bool
    slots: list[str]
    # Of Optuna's Trial; not named here because that is part of what the worker imports later.
    annotate: Callable[..., None] | None = None

    def __call__(self, index: int) -> None:
        """Work until the study is done or the sweep says stop.

        Errors are reported to the sweep and printed, not raised: a launcher would add a page.

        Args:
            index: Number of the worker in its session.
        """
        register_resolvers()
        if self.slots:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.slots[index % len(self.slots)]
        session = Session(self.session, detached=self.detached)
        session.join(index)
        stop = GracefulStop()
        heartbeat = Heartbeat(lambda: session.beat(index), session.stop_now_requested)
        with stop, heartbeat:
            try:
                self._work(session, index, stop, heartbeat)
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

    def _work(self, session: Session, index: int, stop: GracefulStop, heartbeat: Heartbeat) -> None:
        if session.stop_requested():
            return
        if self.spec.storage is not None:
            self.spec.storage.find(session.folder)
        # The GPU of this worker's slot is the only one that it sees.
        spec = self.spec.on_device("cuda") if self.slots else self.spec
        # Torch reads the number of its threads when it is imported.
        os.environ.setdefault("OMP_NUM_THREADS", str(spec.base.trainer.num_threads))
        from sweep.training.factory import make_trainer
        from sweep.workers.display import plain_progress
        from sweep.workers.worker import Worker

        queue = open_patiently(spec, session.stop_requested)
        console = Console(width=_WIDTH)
        worker = Worker(
            spec,
            queue,
            make_trainer(spec.base),
            progress_of=lambda phase: plain_progress(
                console,
                n_trials=phase.queue.n_trials,
                standing=phase.queue.standing,
                has_limits=phase.has_limits,
            ),
            heartbeat=heartbeat,
            stopped=lambda: stop.requested or session.stop_requested(),
            annotate=self.annotate,
        )
        table = worker.prepare()
        text = io.StringIO()
        Console(width=_WIDTH, file=text).print(table)
        session.report_preflight(index, text.getvalue())
        session.report(index, "working")
        worker.run()


def open_patiently(spec: StudySpec, stopped: Callable[[], bool]) -> TrialQueue:
    """Open the study as the sweep did before: a database that is away now will come back.

    Raises:
        InputError: if it does not.
    """
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            return spec.open()
        except InputError:
            if time.monotonic() > deadline or stopped():
                raise
        time.sleep(_PAUSE_SECONDS)
