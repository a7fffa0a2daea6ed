"""One training run: stages, epochs, records. It can stop and continue at every epoch."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from losses import WeightedLoss
from losses.weighting import Weighting
from sweep.config.schema import ObjectiveConfig, TrainerConfig
from sweep.config.stages import Stage
from sweep.errors import TrainingError
from sweep.quantities import exponents_of
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.training import checkpoint
from sweep.training.balance import measure_gradients
from sweep.training.best_model import BestModel
from sweep.training.history import (
    as_saved,
    ends_early,
    is_due,
    judged_again,
    last_metrics,
    read_history,
)
from sweep.training.optimization import Optimization, Step
from sweep.training.score import score
from sweep.training.setup import Setup
from sweep.training.step_table import StepTable, check_finite
from sweep.training.switch import Switch
from sweep.training.trainer import AfterEpoch, Decision, EpochReport

__all__ = ["TrainingLoop"]


class TrainingLoop:
    """A training run in a folder; continues from the folder's checkpoint if there is one.

    Args:
        setup: Data and model; the model's parameters are reset.
        stages: The checked stages.
        trainer: The trainer's configuration.
        objective: The objective's configuration.
        writer: Writes the records; its folder holds the checkpoints, too.
        fit_name: Names the debug log.
        seed: Seed of the order of the batches.
        weighting: Weights that follow the training; None for those of the stages.
    """

    def __init__(
        self,
        setup: Setup,
        stages: list[Stage],
        trainer: TrainerConfig,
        objective: ObjectiveConfig,
        *,
        writer: TrialWriter,
        fit_name: str,
        seed: int,
        weighting: Weighting | None = None,
    ) -> None:
        self.setup = setup
        self.stages = stages
        self.trainer = trainer
        self.objective = objective
        self._powers = exponents_of(objective.metrics)
        self.seed = seed
        self._writer = writer
        self.n_epochs = stages[-1].end + 1
        self.history: list[EpochReport] = []
        self._step = 0
        self._epoch = 0
        self._best: tuple[float, int] = (math.inf, -1)
        self._switches: list[Switch] = []
        setup.reset()
        self._stage = stages[0]
        # The model is judged as it is used in the end, so that all epochs are judged alike.
        self._options = stages[-1].options
        self._optimization = Optimization(setup.model, trainer, self._stage, weighting)
        self._losses = [
            WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype) for stage in stages
        ]
        self._best_model = BestModel(writer, self._optimization.model)
        log_size = 0
        path = writer.folder / "checkpoint.pt"
        saved = checkpoint.load(path, setup.device)
        if saved is not None:
            with checkpoint.restoring(path):
                self._continue(saved)
                log_size = int(saved["log_size"])
            # A later one is of an epoch that was not committed and comes again.
            self._best_model.load(setup.device, self._best[1], self._epoch)
        self._tables = writer.open_tables(
            fit_name,
            last_epoch=self._epoch - 1,
            log_size=log_size,
            n_steps=self._step,
            n_evaluations=sum(report.is_evaluated for report in self.history),
        )

    def train(self, after_epoch: AfterEpoch) -> Result:
        """Train to the end of the schedule or of the patience, or as ``after_epoch`` says.

        Raises:
            TrainingError: if a loss or a gradient is not finite, naming epoch, batch and term.
        """
        decision = after_epoch(self.history[-1]) if self.history else Decision.CONTINUE
        while not self._has_ended and decision is Decision.CONTINUE:
            self.history.append(self._run_epoch())
            decision = after_epoch(self.history[-1])
        if decision is Decision.STOP and not self._has_ended:
            return self._result(State.STOPPED)
        if decision is Decision.PRUNE and not self._has_ended:
            return self._result(State.PRUNED)
        return self._finish()

    @property
    def _has_ended(self) -> bool:
        return self._epoch == self.n_epochs or self._early is not None

    @property
    def _early(self) -> str | None:
        return ends_early(self.history, self.stages[-1], self.trainer.patience)

    def _continue(self, saved: dict[str, Any]) -> None:
        self._epoch = int(saved["epoch"]) + 1
        self._step = int(saved["step"])
        self._best = (float(saved["best_score"]), int(saved["best_epoch"]))
        self._stage = self._stage_of(saved["epoch"])
        self._optimization.enter(self._stage)
        self._optimization.load_state_dict(saved["member"])
        self._switches = [Switch.from_dict(entry) for entry in saved.get("switches", ())]
        if self._weights_move:  # the last that acted, of every stage
            # Those of stages to come are their own: another trial may have trained the first ones.
            for stage, loss, weights in zip(
                self.stages, self._losses, saved["weights"], strict=True
            ):
                if stage.index <= self._stage.index:
                    loss.weights.copy_(weights)
        self.history = read_history(saved["history"], self._epoch, self._stage_of)
        self._judge_again()

    def _judge_again(self) -> None:
        """Where the study goes on under another objective: the epochs so far as it sees them.

        The best epoch stays the one whose parameters are there.
        """
        takes_last = self.objective.epoch == "last"
        found = judged_again(self.history, self._score, takes_last=takes_last)
        if [entry.score for entry in found] != [entry.score for entry in self.history]:
            self.history = found
            self._best = (found[self._best[1]].score, self._best[1])

    @property
    def _weights_move(self) -> bool:
        return self._optimization.weighting is not None

    def _stage_of(self, epoch: int) -> Stage:
        return next(stage for stage in self.stages if stage.start <= epoch <= stage.end)

    def _run_epoch(self) -> EpochReport:
        began = time.perf_counter()
        epoch = self._epoch
        stage = self._stage_of(epoch)
        remark = self._enter(stage) if stage is not self._stage else None
        loss = self._losses[stage.index]
        interval = self.trainer.balance_interval
        # At the end of a stage, too: of a short one the beginning alone would tell nothing.
        measures = bool(interval) and is_due(epoch, stage, interval)
        if measures and not self._weights_move:
            self._measure_gradients(loss, epoch, stage)
        shares, clipped = self._run_steps(loss, epoch, stage)
        if measures and self._weights_move:  # the weights of an epoch are known at its end
            self._measure_gradients(loss, epoch, stage)
        metrics: dict[str, float] = {}
        if is_due(epoch, stage, self.trainer.eval_interval):
            metrics = self._validate(loss, epoch, stage, clipped)
        # As in MACE, an epoch that was not evaluated counts with what was seen last. A loss whose
        # weights move tells nothing of the model, nor does that of another stage.
        seen = metrics or last_metrics(self.history, stage)
        key = "score" if self._weights_move else "loss"
        self._optimization.end_epoch(None if seen is None else seen[key])
        self._epoch += 1
        report = EpochReport(
            epoch=epoch,
            stage=stage,
            score=metrics["score"] if metrics else self.history[-1].score,
            best_score=self._best[0],
            shares=shares,
            metrics=metrics,
            seconds=time.perf_counter() - began,
            remark=remark,
        )
        self._commit(report)
        return report

    def _validate(
        self, loss: WeightedLoss, epoch: int, stage: Stage, clipped: float
    ) -> dict[str, float]:
        """Measure the model on the validation set, and keep it if it is the one to keep."""
        with self._optimization.averaged():
            metrics = self.setup.evaluate("valid", loss, self._options)
            metrics["score"] = self._score(metrics)
            metrics["clipped"] = clipped
            if not math.isfinite(metrics["score"]):
                raise TrainingError(
                    f"epoch {epoch}: the validation error is not finite: "
                    + ", ".join(f"{k} {v}" for k, v in metrics.items() if not math.isfinite(v))
                )
            self._writer.may_write()
            if self.objective.epoch == "last" or metrics["score"] < self._best[0]:
                self._best = (metrics["score"], epoch)
                self._best_model.save(epoch, metrics, float(self.setup.avg_num_neighbors))
        self._tables.add_metrics(
            step=self._step, epoch=epoch, stage=stage.index, split="valid", metrics=metrics
        )
        return metrics

    def _enter(self, stage: Stage) -> str | None:
        """Begin a stage; returns what the user should know of it."""
        last, lr = self._stage, self._optimization.lr
        self._stage = stage
        self._optimization.enter(stage)
        if self._weights_move or stage.loss == last.loss:
            return None
        before, after = (
            measure_gradients(self.setup, self._losses[s.index], s.options) for s in (last, stage)
        )
        switch = Switch.between(before, after, stage=stage, lr=lr, trainer=self.trainer)
        self._switches.append(switch)
        return switch.remark if switch.is_jump else None

    def _measure_gradients(self, loss: WeightedLoss, epoch: int, stage: Stage) -> None:
        found = measure_gradients(self.setup, loss, stage.options)
        raw, weighted, cosine = (
            tensor.double().cpu().numpy() for tensor in (found.raw, found.weighted, found.cosine)
        )
        self._tables.add_gradients(
            found.names, step=self._step, epoch=epoch, stage=stage.index,
            raw=raw, weighted=weighted, cosine=cosine,
        )  # fmt: skip

    def _run_steps(
        self, loss: WeightedLoss, epoch: int, stage: Stage
    ) -> tuple[dict[str, float], float]:
        """The optimiser steps of an epoch.

        Returns:
            The mean share of every term, and the share of steps whose gradient was clipped.
        """
        lr = self._optimization.lr
        stress = self.setup.needs_stress(loss)
        steps, times = [], []
        for ref, periodic in self.setup.batches("train", seed=self.seed, epoch=epoch):
            steps.append(self._optimization.step(loss, ref, periodic=periodic, stress=stress))
            times.append(time.time())
        table = self._table(steps, times, lr, stage, epoch)
        table.add_to(self._tables, first_step=self._step, epoch=epoch, stage=stage.index)
        self._step += len(steps)
        return table.shares(), table.clipped() or 0.0

    def _table(
        self, steps: list[Step], times: list[float], lr: float, stage: Stage, epoch: int
    ) -> StepTable:
        # The only transfer from the device in an epoch.
        columns = [
            torch.cat(
                [
                    *(x.double() for x in (s.raw, s.weights)),
                    torch.stack([x.double() for x in (s.total, s.norm, s.limit)]),
                ]
            )
            for s in steps
        ]
        values = torch.stack(columns).cpu().numpy()
        names = list(stage.weights)
        raw, acting, rest = np.split(values, [len(names), 2 * len(names)], axis=1)
        check_finite(np.hstack([raw, rest[:, :2]]), names, epoch)
        if not self._weights_move:  # as configured, not as rounded to the precision of the model
            acting = np.broadcast_to(list(stage.weights.values()), acting.shape)
        return StepTable(names, raw, acting, rest[:, 0], times, lr, rest[:, 1], limit=rest[:, 2])

    def _commit(self, report: EpochReport) -> None:
        """Put the epoch on disk; the checkpoint comes last and makes it count."""
        log_size = self._writer.commit()
        checkpoint.save(
            self._writer.folder / "checkpoint.pt",
            {
                "epoch": report.epoch,
                "step": self._step,
                "best_score": self._best[0],
                "best_epoch": self._best[1],
                "log_size": log_size,
                "member": self._optimization.state_dict(),
                "weights": [loss.weights for loss in self._losses],
                "switches": [switch.as_dict() for switch in self._switches],
                "history": as_saved([*self.history, report]),
            },
            check=self._writer.may_write,
        )

    def _score(self, metrics: dict[str, float]) -> float:
        return score(metrics, self.setup.scales, self._powers, self.objective.statistic)

    def _result(self, state: State) -> Result:
        best_score, best_epoch = self._best
        metrics = {}
        if best_epoch >= 0:
            metrics["valid"] = next(e.metrics for e in self.history if e.epoch == best_epoch)
        result = Result(state, best_score, best_epoch, metrics)
        if self._switches:
            result.details["switches"] = [switch.as_dict() for switch in self._switches]
        return result

    def _finish(self) -> Result:
        """Measure the best model on the test set, which had no part in choosing it."""
        result = self._result(State.COMPLETE)
        if self._early is not None:
            result.details["ended_early"] = self._early
        best = self._best_model.load(self.setup.device, result.epoch)
        self._optimization.model.load_state_dict(best)
        stage = self._stage_of(result.epoch)
        loss = self._losses[stage.index]
        result.details |= self.setup.errors_by_kind(loss, self._options)
        if self.setup.has_split("test"):
            metrics = self.setup.evaluate("test", loss, self._options)
            metrics["score"] = self._score(metrics)
            self._tables.add_metrics(
                step=self._step, epoch=result.epoch, stage=stage.index, split="test",
                metrics=metrics,
            )  # fmt: skip
            result.metrics["test"] = metrics
        self._writer.commit()
        return result
