"""Static weights to begin with for a program in which weights cannot follow the training.

They come from a training of our own on the same data, whose weights follow the gradients of the
terms, where the program's model is one that we have; it lies in ``weights/`` of the study's folder
and goes on exactly after a kill. Elsewhere they are those with which all terms would have had the
same share of the loss of trial 0. Imports no torch until it trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sweep.config.checks import check_config
from sweep.errors import DamagedRecordError, LeaseLostError
from sweep.locks import LEASES
from sweep.mace_scf.counterpart import counterpart
from sweep.records import Trial
from sweep.records.state import State
from sweep.records.trial import StageRecord
from sweep.records.writer import TrialWriter
from sweep.search.weights import static_parameters, weight_keys
from sweep.study.leases import Lease, Leases
from sweep.study.progress import Progress
from sweep.study.queue import TrialQueue
from sweep.study.references import BALANCED, DEFAULT, STATIC, enqueue_static
from sweep.study.spec import StudySpec
from sweep.training.factory import make_trainer
from sweep.training.job import train_trial
from sweep.training.trainer import Decision, EpochReport

__all__ = ["FOLDER", "StaticWeights"]

FOLDER = "weights"


class StaticWeights:
    """Finds the weights of trial 1 of a study that MACE_SCF trains, and enqueues it.

    Args:
        spec: The study.
        queue: Its trials.
        progress: The display.
        stopped: Whether to stop after the current epoch.
    """

    def __init__(
        self, spec: StudySpec, queue: TrialQueue, progress: Progress, stopped: Callable[[], bool]
    ) -> None:
        self._spec = spec
        self._queue = queue
        self._progress = progress
        self._stopped = stopped
        self._folder = spec.folder / FOLDER
        several = len({weight.term for weight in weight_keys(spec.base).values()}) > 1
        self._is_open = (
            spec.base.trainer.name == "mace_scf" and bool(spec.space.weights) and several
        )

    def lease(self) -> Lease | None:
        """The right to find them; None if they are not wanted (any more), or someone has it."""
        if not self._is_open or self._stopped():
            return None
        trials = self._queue.trials()
        there = any(trial.user_attrs.get("role") == STATIC for trial in trials)
        if there or len(trials) >= self._queue.n_trials:
            self._is_open = False
            return None
        if self._has_failed() and not self._default_steps():
            return None  # until trial 0 is complete
        return Leases(self._folder / LEASES).take(0)

    def find(self, lease: Lease) -> None:
        """Train for them, or take them from trial 0, and enqueue the trial that has them.

        Raises:
            LeaseLostError: if another worker is at it now.
            OSError: if nothing can be written.
        """
        trial = self._read()
        if trial is None or not (trial.is_complete or trial.state is State.FAILED):
            self._train(lease)
            trial = self._read()
        if trial is not None and trial.is_complete:
            stages, origin = list(trial.stages), f"gradient shares of our own training in {FOLDER}/"
        elif self._has_failed() and (found := self._default_steps()):
            stages, origin = found, "equal shares of the loss of trial 0"
        else:
            return
        params, overrides = static_parameters(self._spec.base, self._spec.space, stages)
        if enqueue_static(self._queue, params, overrides, origin):
            self._progress.message(f"static weights for the next trial: {origin}")

    def _read(self) -> Trial | None:
        try:
            return Trial.read(self._folder)
        except DamagedRecordError:
            return None

    def _has_failed(self) -> bool:
        trial = self._read()
        return trial is not None and trial.state is State.FAILED

    def _train(self, lease: Lease) -> None:
        """Train, or go on; a training that cannot be is written down as failed."""
        entries = {"number": 1, "role": BALANCED, "params": {}}
        writer = TrialWriter(self._folder, entries, lease.check)
        try:
            cfg = counterpart(self._spec.base)
            stages = check_config(cfg)
            trainer = make_trainer(cfg)
            trainer.check(cfg, stages)
        except OSError:
            raise
        except Exception as error:  # whatever it is, the study goes on without
            writer.begin({"stages": []})
            writer.fail(error)
            self._progress.message(
                "static weights: equal shares of the loss of trial 0, when it is complete, since "
                f"our own model cannot be trained on these data: {error}"
            )
            return
        self._progress.message(
            f"static weights: a training of our own model '{cfg.model.family}' with gradient "
            f"shares finds them first, {stages[-1].end + 1} epochs, in {FOLDER}/"
        )

        def after_epoch(_: EpochReport) -> Decision:
            return Decision.STOP if self._stopped() else Decision.CONTINUE

        try:
            train_trial(trainer, cfg, stages, writer, after_epoch)
        except (OSError, LeaseLostError):
            raise
        except Exception as error:  # as for a trial, whatever it was; trial.json has it
            self._progress.message(f"static weights: our own training failed: {error}")

    def _default_steps(self) -> list[StageRecord]:
        """The stages of trial 0 with weights of equal shares; empty until it is complete."""
        found = (t for t in self._queue.trials() if t.user_attrs.get("role") == DEFAULT)
        trial = next(found, None)
        if trial is None or not trial.state.is_finished():
            return []
        return equal_shares(self._spec.folder / "trials" / f"{trial.number:04d}")


def equal_shares(folder: Path) -> list[StageRecord]:
    """The stages of a complete trial with the weights that give all terms the same share.

    The weight is 1 / raw value, by the geometric mean over the steps of a stage; a term without a
    value above 0 has none.

    Args:
        folder: Folder of the trial; of one that is not complete, or told no values, there are none.
    """
    try:
        trial = Trial.read(folder)
        steps = trial.steps() if trial.is_complete else None
    except DamagedRecordError:
        return []
    if steps is None or not any(str(column).startswith("raw.") for column in steps):
        return []
    stages = []
    for index, stage in enumerate(trial.stages):
        rows = steps[steps["stage"] == index]
        loss = {}
        for name, term in stage.loss.items():
            raw = np.asarray(rows.get(f"raw.{name}", []), dtype=float)
            raw = raw[np.isfinite(raw) & (raw > 0)]
            weight = float(np.exp(-np.log(raw).mean())) if raw.size else 0.0
            loss[name] = {**term, "weight": weight}
        stages.append(replace(stage, loss=loss))
    return stages
