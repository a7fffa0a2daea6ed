"""A trial that another program trains: started, followed epoch by epoch, ended when told to."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig
from rich.console import RenderableType

from sweep.config.stages import Stage
from sweep.errors import TrainingError
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.training.external.epochs import Epochs
from sweep.training.external.events import Event
from sweep.training.external.judge import Judge
from sweep.training.external.process import OUTPUT, Program
from sweep.training.external.recorder import Recorder
from sweep.training.trainer import AfterEpoch, Decision

__all__ = ["ProgramTrainer", "Run", "Source", "environment"]

_LOOK_SECONDS = 0.2
_BY_OTHERS = {128 + number for number in (1, 2, 15)}  # SIGHUP, SIGINT, SIGTERM
_MOST_INTERRUPTIONS = 3


class Source(Protocol):
    """A file, or several, in which a program tells what it does."""

    def read(self, *, rest: bool = False) -> Sequence[Event]:
        """What it told since the last call.

        Args:
            rest: The program has ended: also what stands after the last line break.
        """


@dataclass(frozen=True)
class Run:
    """A program that is ready to start.

    Attributes:
        command: The program and its arguments.
        source: Where it tells what it does.
        files: Files that grow while it works.
        env: Added to the environment.
    """

    command: Sequence[str]
    source: Source
    files: Sequence[Path]
    env: Mapping[str, str] = field(default_factory=dict)


class ProgramTrainer(ABC):
    """Trains trials by another program. A :class:`~sweep.training.trainer.Trainer`.

    Whatever the program, the trial's folder holds the same records as those of our own training, as
    far as the program tells what they are made of; it runs, and prints into a file, in the folder
    ``program`` there.
    """

    @abstractmethod
    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """See :class:`~sweep.training.trainer.Trainer`."""

    @abstractmethod
    def prepare(self, cfg: DictConfig, stages: list[Stage], folder: Path, *, resume: bool) -> Run:
        """Make ready to train in a folder.

        Args:
            cfg: The configuration.
            stages: Its stages.
            folder: Where the program will run; it is there.
            resume: Whether it goes on from what it left there.
        """

    @abstractmethod
    def can_resume(self, cfg: DictConfig) -> bool:
        """Whether the program can go on from what it left when it was ended."""

    @abstractmethod
    def judge(self, cfg: DictConfig) -> Judge:
        """What makes our metrics of the program's."""

    @abstractmethod
    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""

    def clip_grad(self, cfg: DictConfig) -> float | None:
        """The program's largest gradient norm, where it is known."""
        return None

    def train(
        self, cfg: DictConfig, stages: list[Stage], writer: TrialWriter, after_epoch: AfterEpoch
    ) -> tuple[Result, int]:
        """See :class:`~sweep.training.trainer.Trainer`.

        Raises:
            TrainingError: if the program fails or tells nothing for too long, with the last lines
                that it printed; or if a value is not finite.
        """
        recorder = Recorder(
            writer, stages, self.judge(cfg), fit_name=cfg.fit_name, clip_grad=self.clip_grad(cfg)
        )
        if recorder.has_ended:
            return recorder.result(State.COMPLETE), recorder.n_epochs
        last, resume = recorder.last, False
        if last is not None and self.can_resume(cfg):
            decision = after_epoch(last)
            if decision is not Decision.CONTINUE:
                return recorder.result(_STATES[decision]), recorder.n_epochs
            resume = True
        else:
            recorder.start_afresh()
        recorder.folder.mkdir(exist_ok=True)
        run = self.prepare(cfg, stages, recorder.folder, resume=resume)
        epochs = Epochs(recorder.n_epochs)
        if resume:  # what it told before it was ended, and nobody wrote down
            before = run.source.read()
            epochs.add(e for e in before if e.epoch is not None and e.epoch >= recorder.n_epochs)
        env = {**environment(cfg), **run.env}
        with Program(run.command, recorder.folder, env=env, grace=cfg.trainer.grace) as program:
            state = _follow(program, run, epochs, recorder, after_epoch, cfg.trainer.timeout)
        return recorder.result(state), recorder.n_epochs


_STATES = {Decision.PRUNE: State.PRUNED, Decision.STOP: State.STOPPED}


def _follow(
    program: Program,
    run: Run,
    epochs: Epochs,
    recorder: Recorder,
    after_epoch: AfterEpoch,
    timeout: float | None,
) -> State:
    """Record what a program tells until it ends or shall end.

    Raises:
        TrainingError: as :meth:`ProgramTrainer.train`.
    """
    activity = _Activity([recorder.folder / OUTPUT, *run.files])
    while True:
        status = program.status  # before reading: what it told last is there then
        epochs.add(run.source.read(rest=status == 0))
        for epoch in epochs.take(recorder.judge.is_whole, ended=status is not None):
            decision = after_epoch(recorder.commit(epoch))
            recorder.interrupted = 0
            # What it told since is of later epochs; a trial that is through is complete.
            if decision is not Decision.CONTINUE and status != 0:
                return _STATES[decision]
        if status is not None:
            break
        if timeout is not None and (silent := activity.silent_seconds()) > timeout:
            raise TrainingError(
                f"the program wrote nothing for {silent:.0f} s and was ended "
                f"(trainer.timeout={timeout:g}): {program.last_lines() or 'it printed nothing'}"
            )
        time.sleep(_LOOK_SECONDS)
    if status in _BY_OTHERS and recorder.note_interruption() < _MOST_INTERRUPTIONS:
        return State.STOPPED  # a job that is cancelled, for example, in which all get a signal
    if status != 0:
        raise TrainingError(program.describe_end())
    if not recorder.n_epochs:
        raise TrainingError(
            f"the program ended well, but told of no epoch: {program.last_lines() or 'no output'}"
        )
    recorder.note_end(epochs.tests)
    return State.COMPLETE


class _Activity:
    """Tells how long ago any of some files grew."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._sizes: list[int] = []
        self._since = time.monotonic()

    def silent_seconds(self) -> float:
        """Seconds since a file grew, or since the start."""
        sizes = [path.stat().st_size if path.exists() else 0 for path in self._files]
        if sizes != self._sizes:
            self._sizes, self._since = sizes, time.monotonic()
        return time.monotonic() - self._since


def environment(cfg: DictConfig) -> dict[str, str]:
    """Threads and GPU of a program: a worker's are those that it was given."""
    env = {"OMP_NUM_THREADS": str(cfg.trainer.num_threads), "PYTHONUNBUFFERED": "1"}
    kind, _, number = str(cfg.trainer.device).partition(":")
    if kind == "cuda" and number:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = [gpu.strip() for gpu in visible.split(",")] if visible else []
        env["CUDA_VISIBLE_DEVICES"] = gpus[int(number)] if int(number) < len(gpus) else number
    return {**env, **{str(key): str(value) for key, value in cfg.trainer.env.items()}}
