"""``trainer=mace_run_train``: trials in mace-torch's own training. Imports no torch itself."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Group, RenderableType

from sweep.config.stages import Stage
from sweep.console import make_table, plain
from sweep.errors import DamagedRecordError, InputError, TrainingError
from sweep.numbers import number
from sweep.quantities import exponents_of
from sweep.records.writer import Result, TrialWriter
from sweep.training.external.judge import Judge
from sweep.training.external.process import Program
from sweep.training.external.trainer import ProgramTrainer, Run, environment
from sweep.training.mace_run_train.arguments import control_of, words_of
from sweep.training.mace_run_train.control import EVENTS
from sweep.training.mace_run_train.events import EventSource
from sweep.training.trainer import AfterEpoch

__all__ = ["MaceRunTrainTrainer"]

_MODULE = "sweep.training.mace_run_train"
_CONTROL = "control.json"
_LOOK_SECONDS = 0.1
_FACTS = ("n_parameters", "dtype", "device", "clip_grad", "scales", "multipoles_max_l")


class MaceRunTrainTrainer(ProgramTrainer):
    """Trains trials by ``mace_run_train`` with our loss in it.

    A :class:`~sweep.training.trainer.Trainer`. Each trial is a process of its own, which runs where
    the command was started, so that paths in the user's flags mean what they meant by hand; what it
    writes is in the folder ``program`` of the trial.
    """

    def __init__(self) -> None:
        self._cwd = os.getcwd()
        self._ready: dict[str, Any] = {}
        self._source: EventSource | None = None

    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """See :class:`~sweep.training.trainer.Trainer`: mace builds all, one batch is evaluated."""
        source = self._ask(cfg, stages, "check")
        self._ready = source.found["ready"]
        rows = [
            [*([stage.name] if len(stages) > 1 else []), name, number(raw), number(weighted),
             number(norm)]
            for stage, found in zip(stages, source.found["check"]["stages"], strict=True)
            for name, raw, weighted, norm in zip(
                found["terms"], found["raw"], found["weighted"], found["norm"], strict=True
            )
        ]  # fmt: skip
        head = ["term", "raw", "weighted", "gradient of raw"]
        head = ["stage", *head] if len(stages) > 1 else head
        align = "l" * (len(head) - 3) + "rrr"
        quantities = ", ".join(source.found["check"]["quantities"])
        notes = [
            f"mace_run_train: {self._ready['n_parameters']} parameters are trained; measured: "
            f"{quantities}",
            *source.notes,
        ]
        title = "terms on one batch of mace_run_train, before training"
        return Group(make_table(title, head, rows, align=align), *map(plain, notes))

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        known = {key: self._ready[key] for key in _FACTS if key in self._ready}
        return {
            "trainer": "mace_run_train",
            "flags": words_of(cfg),  # the user's; those of the trial are in its configuration
            "num_threads": cfg.trainer.num_threads,
            **known,
        }

    def can_resume(self, cfg: DictConfig) -> bool:
        """See :class:`ProgramTrainer`: exactly, as the driver keeps its state."""
        return True

    def clip_grad(self, cfg: DictConfig) -> float | None:
        """See :class:`ProgramTrainer`."""
        return self._ready.get("clip_grad")

    def judge(self, cfg: DictConfig) -> Judge:
        """See :class:`ProgramTrainer`: the driver tells our metrics and the score."""
        return Judge(powers=exponents_of(cfg.objective.metrics), statistic=cfg.objective.statistic)

    def prepare(self, cfg: DictConfig, stages: list[Stage], folder: Path, *, resume: bool) -> Run:
        """See :class:`ProgramTrainer`."""
        run = self._run(cfg, stages, folder, "train")
        assert isinstance(run.source, EventSource)
        self._source = run.source
        return run

    def train(
        self, cfg: DictConfig, stages: list[Stage], writer: TrialWriter, after_epoch: AfterEpoch
    ) -> tuple[Result, int]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        self._source = None
        try:
            return super().train(cfg, stages, writer, after_epoch)
        except DamagedRecordError:
            raise
        except TrainingError as error:
            told = self._error_told()
            if told is None:
                raise
            kind = DamagedRecordError if told["kind"] == "DamagedRecordError" else TrainingError
            raise kind(told["message"]) from error

    def _error_told(self) -> dict[str, Any] | None:
        """Why the driver of the last training gave up, if it said so."""
        return None if self._source is None else self._source.found.get("error")

    def _run(self, cfg: DictConfig, stages: Sequence[Stage], folder: Path, task: str) -> Run:
        folder = folder.absolute()  # the program runs in it
        control = control_of(cfg, stages, folder, task=task, cwd=self._cwd)
        path = folder / _CONTROL
        control.write(path)
        command = [sys.executable, "-m", _MODULE, str(path), *words_of(cfg)]
        events = folder / EVENTS
        return Run(command, EventSource(events), [events])

    def _ask(self, cfg: DictConfig, stages: list[Stage], task: str) -> EventSource:
        """Run a task that trains little or nothing, in a folder that is gone afterwards.

        Raises:
            InputError: saying why mace did not begin to train.
            TrainingError: if values became not finite.
        """
        with tempfile.TemporaryDirectory(prefix="mace_run_train_") as name:
            run = self._run(cfg, stages, Path(name), task)
            assert isinstance(run.source, EventSource)
            env = {**environment(cfg), **run.env}
            with Program(run.command, Path(name), env=env, grace=cfg.trainer.grace) as program:
                while program.status is None:
                    time.sleep(_LOOK_SECONDS)
                run.source.read(rest=True)
                if program.status == 0:
                    return run.source
                told = run.source.found.get("error")
                if told is None:
                    raise InputError(f"mace_run_train did not begin: {program.describe_end()}")
                is_input = told["kind"] in ("InputError", "LossError")
                raise (InputError if is_input else TrainingError)(told["message"])
