"""The training of mace as a trial: its loss, its records, its state, its end.

:class:`Driver` takes the place of ``mace.tools.train``: ``mace_run_train`` calls that once, with
everything built, and goes on to its final models and tables when it returns.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import losses
from losses import WeightedLoss
from sweep.errors import InputError, TrainingError
from sweep.training import checkpoint
from sweep.training.mace_run_train.checkpoints import BestCheckpoints
from sweep.training.mace_run_train.checks import check_is_driven
from sweep.training.mace_run_train.control import EVENTS, Control
from sweep.training.mace_run_train.evaluation import Evaluation
from sweep.training.mace_run_train.events import EventLog
from sweep.training.mace_run_train.gradients import Gradients
from sweep.training.mace_run_train.measurement import Measurement
from sweep.training.mace_run_train.state import Parts
from sweep.training.mace_run_train.steps import LossOfLbfgs, Stepper
from sweep.training.weighting import make_weighting

__all__ = ["STOPPED", "Driver"]

STOPPED = 143
"""Exit status of a training that was asked to stop by SIGTERM."""

_NEVER = 10**9

_REPLACED = ("train_one_epoch", "take_step", "evaluate", "valid_err_log")


class _OutOfPatience(Exception):
    """No improvement for as long as ``--patience`` says."""


class Driver:
    """Drives one training of mace.

    Args:
        control: What is wanted.
        folder: Its folder, whatever the working directory is by now.
        train_module: The module ``mace.tools.train``.

    Attributes:
        stopping: Whether to stop before the next batch; set by a signal handler.
        training: Whether mace is between its first and its last epoch.
    """

    def __init__(self, control: Control, folder: Path, train_module: Any) -> None:
        self.stopping = False
        self.training = False
        self._parent = os.getppid()
        self._control = control
        self._module = train_module
        self._original = {name: getattr(train_module, name) for name in ("train", *_REPLACED)}
        self.events = EventLog(folder / EVENTS)
        self._state_path = folder / "state.pt"
        self._resumed: dict[str, Any] | None = None
        self._epoch = -1  # the one being trained
        self._pending: dict[str, Any] | None = None  # the epoch that is over but not yet told of
        self._without_improvement = 0
        self._tested = False

    # What mace_run_train calls in place of its own

    def train(self, **given: Any) -> None:
        """As ``mace.tools.train``, which is called with everything that was set up before."""
        self._given = given
        check_is_driven(self._control, given)
        self._prepare(given)
        if self._control.task == "check":
            self._tell_ready(given)
            self.events.write(
                "check",
                stages=self._gradients.table(self._losses),
                quantities=self._measurement.quantities,
            )
            raise SystemExit(0)
        self._resume(given)
        for name in _REPLACED:
            setattr(self._module, name, getattr(self, name))
        self.training = True
        try:
            self._original["train"](**given)
        except _OutOfPatience:
            pass
        finally:
            self.training = False
        self._end_epoch()

    def train_one_epoch(self, **given: Any) -> None:
        """As mace's: here the state between two epochs is complete."""
        self._end_epoch()
        epoch = given["epoch"]
        if self._resumed is not None:
            # Only now, since mace has begun by stepping what it had just built.
            self._parts.load_state_dict(self._resumed["parts"])
            self._resumed = None
        if self._without_improvement >= self._patience and self._is_last_stage(epoch):
            raise _OutOfPatience
        self._epoch = epoch
        self._stepper.begin(epoch)
        moves = self._parts.weighting is not None
        if not moves:
            self._measure_gradients()
        if self._lbfgs is not None:
            loss = self._lbfgs[self._stage]
            loss.begin(len(given["data_loader"]))
            given["loss_fn"] = loss
        self._original["train_one_epoch"](**given)
        if self._lbfgs is not None:
            lr = float(given["optimizer"].param_groups[0]["lr"])
            self._stepper.report_lbfgs(self._lbfgs[self._stage], lr)
        if moves:  # the weights of an epoch are known at its end
            self._measure_gradients()

    def take_step(self, *args: Any, **given: Any) -> Any:
        """As mace's."""
        return self._stepper.take_step(*args, **given)

    def evaluate(self, **given: Any) -> tuple[float, Any]:
        """As mace's, but after an epoch it returns the score in place of the loss."""
        if not self._evaluation.collecting and self._epoch >= 0:
            self._evaluation.begin()  # of the first head after an epoch
        loss, aux = self._evaluation.evaluate(**given)
        if self._epoch < 0:  # mace's look before the first epoch
            return loss, aux
        is_last = given["data_loader"] is self._last_loader
        return self._validated() if is_last else math.inf, aux

    def valid_err_log(self, valid_loss: float, eval_metrics: Any, *args: Any, **given: Any) -> None:
        """As mace's, which shall show the loss and not the score."""
        self._original["valid_err_log"](eval_metrics["loss"], eval_metrics, *args, **given)

    def create_error_table(
        self, original: Callable[..., Any], all_data_loaders: Mapping[str, Any], **given: Any
    ) -> Any:
        """As mace's; what it evaluates of the best epoch on test sets is reported."""
        valid = {id(loader) for loader in self._given["valid_loaders"].values()}
        is_test = all(id(loader) not in valid for loader in all_data_loaders.values())
        epoch = self._checkpoints.loaded
        wanted = is_test and epoch == self._checkpoints.best_epoch and not self._tested
        if wanted:
            self._evaluation.begin()
        table = original(all_data_loaders=all_data_loaders, **given)
        if wanted:
            self._tested = True
            self.events.write("test", epoch=epoch, metrics=self._evaluation.metrics())
        return table

    def evaluate_table(self, model: torch.nn.Module, **given: Any) -> tuple[float, Any]:
        """As mace's ``evaluate`` where its final tables are made."""
        return self._evaluation.evaluate(model, **given)

    # What the others ask

    def check_stop(self) -> None:
        """End the process if it was asked to stop, or if who started it is gone."""
        if self.stopping or os.getppid() != self._parent:
            raise SystemExit(STOPPED)

    # The rest

    def _prepare(self, given: dict[str, Any]) -> None:
        """Build what is needed from what mace has built."""
        control = self._control
        device = given["device"]
        terms = [WeightedLoss(loss, device=device) for loss in control.losses]
        self._losses = terms
        if control.own and not terms:
            raise InputError("trainer=mace_run_train: no loss")
        needs = {out for loss in terms for name in loss.names for out in losses.get(name).outputs}
        if control.own and ("stress" in needs or "stress" in (*control.metrics, *control.measured)):
            given["output_args"]["stress"] = True
        self._gradients = Gradients(
            given["model"], given["optimizer"], given["train_loader"], given["output_args"], device
        )
        pred = self._gradients.predict()
        self._measurement = Measurement(
            given["train_loader"].dataset,
            given["model"],
            pred,
            heads=list(given["valid_loaders"]),
            metrics=control.metrics,
            statistic=control.statistic,
            measured=control.measured,
        )
        for loss in terms:
            loss.raw(pred=pred, ref=self._gradients.batch)  # raises where the model lacks an output
        self._evaluation = Evaluation(
            self._original["evaluate"],
            self._measurement,
            loss_of=self._loss if control.own else lambda: None,
            check_stop=self.check_stop,
        )
        names = list(dict.fromkeys(name for loss in terms for name in loss.names))
        weighting = make_weighting(control.weighting, names, device)
        swa = given["swa"]
        self._swa_start = None if swa is None else int(swa.start)
        self._checkpoints = BestCheckpoints(
            given["checkpoint_handler"],
            swa_start=self._swa_start,
            keep_all=given["save_all_checkpoints"],
        )
        self._stepper = Stepper(
            self._loss,
            own=control.own,
            weighting=weighting,
            record=lambda step: self.events.write("step", stage=self._stage, **step),
            check_stop=self.check_stop,
        )
        is_lbfgs = isinstance(given["optimizer"], torch.optim.LBFGS)
        self._lbfgs = [LossOfLbfgs(loss, self.check_stop) for loss in terms] if is_lbfgs else None
        self._parts = Parts(
            model=given["model"],
            optimizer=given["optimizer"],
            lr_scheduler=given["lr_scheduler"],
            ema=given["ema"],
            swa=swa,
            generator=given["train_loader"].generator,
            losses=terms,
            weighting=weighting,
        )
        self._last_loader = list(given["valid_loaders"].values())[-1]
        self._patience = int(given["patience"])
        given["patience"] = _NEVER  # ours, which ends the training
        given["eval_interval"] = 1

    def _resume(self, given: dict[str, Any]) -> None:
        saved = checkpoint.load(self._state_path, given["device"])
        if saved is not None:
            with checkpoint.restoring(self._state_path):
                given["start_epoch"] = int(saved["epoch"])
                given["model"].load_state_dict(saved["parts"]["model"])  # for mace's first look
                self._checkpoints.best = {
                    int(stage): (float(score), int(epoch)) for stage, score, epoch in saved["best"]
                }
                self._without_improvement = int(saved["without_improvement"])
                self._resumed = saved
        self._tell_ready(given)

    def _tell_ready(self, given: Mapping[str, Any]) -> None:
        model = given["model"]
        self.events.write(
            "ready",
            epoch=given["start_epoch"],
            n_epochs=given["max_num_epochs"],
            stage_two=self._swa_start,
            terms=[list(loss.names) for loss in self._losses],
            scales=self._measurement.scales,
            multipoles_max_l=self._measurement.multipoles_max_l,
            n_parameters=self._gradients.n_parameters,
            dtype=str(next(model.parameters()).dtype).removeprefix("torch."),
            device=str(given["device"]),
            clip_grad=given["max_grad_norm"],
        )

    @property
    def _stage(self) -> int:
        return self._checkpoints.stage_of(self._epoch)

    def _is_last_stage(self, epoch: int) -> bool:
        return self._swa_start is None or self._checkpoints.stage_of(epoch) == 1

    def _loss(self) -> WeightedLoss | None:
        return self._losses[min(self._stage, len(self._losses) - 1)] if self._losses else None

    def _validated(self) -> float:
        """The end of an epoch's validation; returns its score."""
        metrics = self._evaluation.metrics()
        assert metrics is not None
        bad = {key: value for key, value in metrics.items() if not math.isfinite(value)}
        if not math.isfinite(metrics["score"]):
            text = ", ".join(f"{key} {value}" for key, value in bad.items())
            raise TrainingError(f"epoch {self._epoch}: the validation error is not finite: {text}")
        improved = self._checkpoints.see(self._epoch, metrics["score"])
        self._without_improvement = 0 if improved else self._without_improvement + 1
        metrics["clipped"] = self._stepper.clipped
        self._pending = {
            "epoch": self._epoch, "stage": self._stage, "n_steps": self._stepper.n_steps,
            "metrics": metrics,
        }  # fmt: skip
        return metrics["score"]

    def _end_epoch(self) -> None:
        """Tell of the epoch that is over, then write the state: in this order nothing is lost."""
        if self._pending is None:
            return
        self.events.write("epoch", **self._pending)
        self.events.sync()
        checkpoint.save(
            self._state_path,
            {
                "epoch": self._pending["epoch"] + 1,
                "best": [[k, score, epoch] for k, (score, epoch) in self._checkpoints.best.items()],
                "without_improvement": self._without_improvement,
                "parts": self._parts.state_dict(),
            },
        )
        self._checkpoints.clean()
        self._pending = None

    def _measure_gradients(self) -> None:
        interval, epoch = self._control.balance_interval, self._epoch
        ends = {self._given["max_num_epochs"] - 1}
        ends |= set() if self._swa_start is None else {self._swa_start - 1}
        loss = self._loss()
        if loss is None or not interval or not (epoch % interval == 0 or epoch in ends):
            return
        found = self._gradients.measure(loss)
        self.events.write(
            "balance", epoch=epoch, stage=self._stage, terms=list(found.names),
            raw=found.raw.tolist(), weighted=found.weighted.tolist(), cosine=found.cosine.tolist(),
        )  # fmt: skip
