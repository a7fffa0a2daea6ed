"""One training run: stages, epochs, records. It can stop and continue at every epoch."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from losses import WeightedLoss
from losses.balance import shares_of
from losses.weighting import Weighting
from sweep.config.schema import ObjectiveConfig, TrainerConfig
from sweep.config.stages import Stage
from sweep.errors import DamagedRecordError, TrainingError
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.training import checkpoint
from sweep.training.balance import balance_columns, measure_gradients
from sweep.training.metrics import score
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup
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
        self.seed = seed
        self._writer = writer
        self.n_epochs = stages[-1].end + 1
        self.history: list[EpochReport] = []
        self._step = 0
        self._epoch = 0
        self._best: tuple[float, int] = (math.inf, -1)
        setup.reset()
        self._stage = stages[0]
        # The model is judged as it is used in the end, so that all epochs are judged alike.
        self._options = stages[-1].options
        self._optimization = Optimization(setup.model, trainer, self._stage, weighting)
        self._losses = [
            WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype) for stage in stages
        ]
        log_size = 0
        path = writer.folder / "checkpoint.pt"
        saved = checkpoint.load(path, setup.device)
        if saved is not None:
            with checkpoint.restoring(path):
                self._continue(saved)
                log_size = int(saved["log_size"])
            # A later one is of an epoch that was not committed and comes again.
            self._best_model(self._best[1], self._epoch)
        self._tables = writer.open_tables(
            fit_name, last_epoch=self._epoch - 1, log_size=log_size, n_steps=self._step
        )

    def train(self, after_epoch: AfterEpoch) -> Result:
        """Train to the end of the schedule, or as long as ``after_epoch`` says.

        Raises:
            TrainingError: if a loss or a gradient is not finite, naming epoch, batch and term.
        """
        decision = after_epoch(self.history[-1]) if self.history else Decision.CONTINUE
        while self._epoch < self.n_epochs and decision is Decision.CONTINUE:
            self.history.append(self._run_epoch())
            decision = after_epoch(self.history[-1])
        finished = self._epoch == self.n_epochs
        if decision is Decision.STOP and not finished:
            return self._result(State.STOPPED)
        if decision is Decision.PRUNE and not finished:
            return self._result(State.PRUNED)
        return self._finish()

    def _continue(self, saved: dict[str, Any]) -> None:
        self._epoch = int(saved["epoch"]) + 1
        self._step = int(saved["step"])
        self._best = (float(saved["best_score"]), int(saved["best_epoch"]))
        self._stage = self._stage_of(saved["epoch"])
        self._optimization.enter(self._stage)
        self._optimization.load_state_dict(saved["member"])
        if self._weights_move:  # the last that acted, of every stage
            for loss, weights in zip(self._losses, saved["weights"], strict=True):
                loss.weights.copy_(weights)
        self.history = [
            EpochReport(stage=self._stage_of(entry["epoch"]), seconds=math.nan, **entry)
            for entry in saved["history"]
        ]
        if [entry.epoch for entry in self.history] != list(range(self._epoch)):
            raise ValueError(f"the history is not that of epochs 0 to {self._epoch - 1}")

    @property
    def _weights_move(self) -> bool:
        return self._optimization.weighting is not None

    def _stage_of(self, epoch: int) -> Stage:
        return next(stage for stage in self.stages if stage.start <= epoch <= stage.end)

    def _run_epoch(self) -> EpochReport:
        began = time.perf_counter()
        epoch = self._epoch
        stage = self._stage_of(epoch)
        if stage is not self._stage:
            self._stage = stage
            self._optimization.enter(stage)
        loss = self._losses[stage.index]
        interval = self.trainer.balance_interval
        # At the end of a stage, too: of a short one the beginning alone would tell nothing.
        is_due = bool(interval) and (epoch % interval == 0 or epoch == stage.end)
        if is_due and not self._weights_move:
            self._measure_gradients(loss, epoch, stage)
        shares, clipped = self._run_steps(loss, epoch, stage)
        if is_due and self._weights_move:  # the weights of an epoch are known at its end
            self._measure_gradients(loss, epoch, stage)
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
                checkpoint.save(
                    self._writer.folder / "best.pt",
                    {
                        "model": self._optimization.model.state_dict(),
                        "epoch": epoch,
                        "metrics": metrics,
                    },
                    check=self._writer.may_write,
                )
        # A loss whose weights move tells nothing of the model.
        self._optimization.end_epoch(metrics["score" if self._weights_move else "loss"])
        self._tables.add_metrics(
            step=self._step, epoch=epoch, stage=stage.index, split="valid", metrics=metrics
        )
        self._epoch += 1
        report = EpochReport(
            epoch=epoch,
            stage=stage,
            score=metrics["score"],
            best_score=self._best[0],
            shares=shares,
            metrics=metrics,
            seconds=time.perf_counter() - began,
        )
        self._commit(report)
        return report

    def _measure_gradients(self, loss: WeightedLoss, epoch: int, stage: Stage) -> None:
        balance = measure_gradients(self.setup, loss, stage.options)
        self._tables.add_balance(
            balance_columns(balance, step=self._step, epoch=epoch, stage=stage.index)
        )

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
        # The only transfer from the device in an epoch.
        columns = [
            torch.cat([s.raw.double(), s.weights.double(), torch.stack([s.total, s.norm]).double()])
            for s in steps
        ]
        values = torch.stack(columns).cpu().numpy()
        names = list(stage.weights)
        raw, acting, rest = np.split(values, [len(names), 2 * len(names)], axis=1)
        _check_finite(np.hstack([raw, rest]), names, epoch)
        moving = dict(zip(names, acting.T, strict=True))
        weights = moving if self._weights_move else stage.weights
        self._tables.add_steps(
            first_step=self._step,
            epoch=epoch,
            stage=stage.index,
            lr=lr,
            times=times,
            raw=raw,
            weights=weights,
            total=rest[:, 0],
            grad_norm=rest[:, 1],
        )
        self._step += len(values)
        weighted = raw * np.stack(
            [np.broadcast_to(weight, len(raw)) for weight in weights.values()], axis=1
        )
        shares = shares_of(dict(zip(names, weighted.mean(axis=0).tolist(), strict=True)))
        limit = self.trainer.clip_grad
        return shares, 0.0 if limit is None else float((rest[:, 1] > limit).mean())

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
                "history": [_plain(entry) for entry in [*self.history, report]],
            },
            check=self._writer.may_write,
        )

    def _score(self, metrics: dict[str, float]) -> float:
        return score(metrics, self.setup.scales, self.objective.metrics, self.objective.statistic)

    def _result(self, state: State) -> Result:
        best_score, best_epoch = self._best
        metrics = {}
        if best_epoch >= 0:
            metrics["valid"] = next(e.metrics for e in self.history if e.epoch == best_epoch)
        return Result(state, best_score, best_epoch, metrics)

    def _best_model(self, *epochs: int) -> dict[str, Any]:
        """The parameters in ``best.pt``.

        Args:
            *epochs: Those that it may be of.

        Raises:
            DamagedRecordError: if it is missing or holds anything else.
        """
        path = self._writer.folder / "best.pt"
        best = checkpoint.load(path, self.setup.device)
        if best is None:
            raise DamagedRecordError(f"{path}: missing")
        with checkpoint.restoring(path):
            if best["epoch"] not in epochs:
                raise ValueError(f"of epoch {best['epoch']}, expected {epochs[0]}")
            own, found = self._optimization.model.state_dict(), dict(best["model"])
            if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in found.items()}:
                raise ValueError("of another model")
        return found

    def _finish(self) -> Result:
        """Measure the best model on the test set, which had no part in choosing it."""
        result = self._result(State.COMPLETE)
        if self.setup.has_split("test"):
            self._optimization.model.load_state_dict(self._best_model(result.epoch))
            stage = self._stage_of(result.epoch)
            metrics = self.setup.evaluate("test", self._losses[stage.index], self._options)
            metrics["score"] = self._score(metrics)
            self._tables.add_metrics(
                step=self._step, epoch=result.epoch, stage=stage.index, split="test",
                metrics=metrics,
            )  # fmt: skip
            result.metrics["test"] = metrics
        self._writer.commit()
        return result


def _plain(report: EpochReport) -> dict[str, Any]:
    keys = ("epoch", "score", "best_score", "shares", "metrics")
    return {key: getattr(report, key) for key in keys}


def _check_finite(values: np.ndarray, names: list[str], epoch: int) -> None:
    """Columns of ``values``: the raw terms, the total, the gradient norm."""
    bad = ~np.isfinite(values)
    if bad.any():
        batch = int(np.argmax(bad.any(axis=1)))
        column = int(np.argmax(bad[batch]))
        what = [*(f"term '{name}'" for name in names), "the total loss", "the gradient"][column]
        raise TrainingError(f"epoch {epoch}, batch {batch}: {what} is not finite")
