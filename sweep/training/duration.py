"""How long a training will take: measured on a few real steps, before the first one counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import torch

from losses import WeightedLoss
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage
from sweep.training.history import is_due
from sweep.training.metrics import evaluate
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup

__all__ = ["duration", "in_words"]

_STEPS = 3
_PATIENCE_SECONDS = 10.0  # of a model whose steps take that long one is measured


def duration(setup: Setup, stages: Sequence[Stage], trainer: TrainerConfig) -> str:
    """Number of epochs and steps of a training, and about how long it will take here.

    Training steps and a validation are measured in every stage that differs from those before, on
    the batches that come first. The model has its initial parameters afterwards.

    Args:
        setup: Data and model.
        stages: The checked stages.
        trainer: The trainer's configuration.

    Raises:
        OutOfMemoryError: if a training step does not fit into the memory of the device.
    """
    n_steps, n_batches = setup.n_batches("train"), setup.n_batches("valid")
    n_epochs = stages[-1].end + 1
    seconds, known = 0.0, {}
    for stage in stages:
        key = repr((sorted(stage.loss), stage.options))
        if key not in known:
            known[key] = _measure(setup, stage, stages[-1], trainer)
        step, validation = known[key]
        epochs = range(stage.start, stage.end + 1)
        n_evaluated = sum(is_due(epoch, stage, trainer.eval_interval) for epoch in epochs)
        seconds += len(epochs) * n_steps * step + n_evaluated * n_batches * validation
    setup.reset()
    last = f"train_schedule.{stages[-1].index}.end"
    most = "" if trainer.patience is None else "at most "
    return (
        f"a training is {most}{n_epochs} epochs of {n_steps} steps, {n_epochs * n_steps} steps in "
        f"all: about {in_words(seconds)} at the pace of a few steps just now; a smaller {last} "
        f"(now {stages[-1].end}) shortens it"
    )


def in_words(seconds: float) -> str:
    """A time with the precision of an estimate: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    for limit, size, unit in ((90, 1, "s"), (90 * 60, 60, "min")):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 36 else f"{hours / 24:.1f} days"


def _measure(
    setup: Setup, stage: Stage, last: Stage, trainer: TrainerConfig
) -> tuple[float, float]:
    """Seconds of a training step, and of a validation batch."""
    setup.reset()
    loss = WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype)
    optimization = Optimization(setup.model, trainer, stage)
    stress = setup.needs_stress(loss)
    batches = list(islice(setup.batches("train", seed=0), _STEPS + 1))

    def step(i: int) -> None:
        ref, periodic = batches[i % len(batches)]
        optimization.step(loss, ref, periodic=periodic, stress=stress)

    seen = next(iter(setup.batches("valid")))

    def validate(_: int) -> None:
        evaluate(
            partial(setup.model, **last.options),
            [seen],
            loss,
            quantities=setup.quantities(last.options),
            compute_stress=stress,
        )

    return _mean_seconds(step, setup.device), _mean_seconds(validate, setup.device)


def _mean_seconds(run: Callable[[int], None], device: torch.device) -> float:
    """Mean time of some calls after the first, which may build or choose kernels."""
    times = []
    began = time.perf_counter()
    for i in range(_STEPS + 1):
        start = time.perf_counter()
        run(i)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
        if time.perf_counter() - began > _PATIENCE_SECONDS:
            break
    counted = times[1:] or times
    return sum(counted) / len(counted)
