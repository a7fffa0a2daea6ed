"""A training whose weights moved as several stages of fixed weights, for ``export --stages N``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from sweep.errors import InputError
from sweep.export.winner import Winner
from sweep.records.tables import BREAKDOWN, Table, geometric_means
from sweep.records.trial import StageRecord

__all__ = ["staged"]


def staged(winner: Winner, n_stages: int) -> Winner:
    """The same training with each of its stages cut into parts that have weights of their own.

    These are the geometric means of the weights that acted in a part, and its learning rate is that
    of its first step.

    Args:
        winner: A trial whose weights followed its training.
        n_stages: How many parts in all; longer stages get more of them.

    Raises:
        InputError: if its weights did not move, it cannot be cut so, or it was not trained so far.
        DamagedRecordError: if its breakdown cannot be read.
    """
    trial = winner.trial
    where = f"--stages {n_stages}"
    if trial.weighting == "fixed":
        other = "" if winner.moved is None else f"; those of --trial {winner.moved.number} do"
        raise InputError(f"{where}: the weights of trial {trial.number} do not move{other}")
    ends = _parts(where, trial.stages, n_stages, trial.epochs_trained)
    table = Table(trial.folder / BREAKDOWN, last_epoch=ends[-1][1])
    stages, config = [], []
    schedule = (winner.config or {}).get("train_schedule") or {}
    start = 0
    for index, end in ends:
        stage = trial.stages[index]
        means = geometric_means(table.columns("weight.", (start, end)))
        rates = table.columns("lr", (start, end)).get("", np.empty(0))
        if not len(rates):
            raise InputError(
                f"{where}: trial {trial.number} has no weights of epochs {start} to {end}, as its "
                "training ended before"
            )
        loss = {name: {**term, "weight": means.get(name, 0.0)} for name, term in stage.loss.items()}
        name = f"{stage.name}_{start}_{end}"
        stages.append(StageRecord(loss, name, start, end, float(rates[0])))
        options = (schedule.get(str(index)) or {}).get("fixed_point_training_options")
        config.append(stages[-1].as_json() | {"fixed_point_training_options": options})
        start = end + 1
    return dataclasses.replace(
        winner,
        trial=dataclasses.replace(trial, stages=tuple(stages)),
        config=_with_schedule(winner.config, config),
        is_staged=True,
    )


def _parts(
    where: str, stages: Sequence[StageRecord], n: int, n_trained: int | None
) -> list[tuple[int, int]]:
    """For every part the index of its stage and its last epoch.

    Of a training that ended early what was trained is cut; the last part goes to the end all the
    same.
    """
    lengths = [int(stage.end or 0) - int(stage.start or 0) + 1 for stage in stages]
    if n_trained is not None:
        lengths[-1] = max(1, min(lengths[-1], n_trained - int(stages[-1].start or 0)))
    if not len(stages) <= n <= sum(lengths):
        raise InputError(
            f"{where}: must be from {len(stages)} (its stages) to {sum(lengths)} (its epochs)"
        )
    counts = [1] * len(stages)
    for _ in range(n - len(stages)):  # one more where the parts are longest
        longest = max(range(len(stages)), key=lambda i: lengths[i] / counts[i])
        counts[longest] += 1
    found = []
    for index, (stage, length, count) in enumerate(zip(stages, lengths, counts, strict=True)):
        start = int(stage.start or 0)
        found += [(index, start + (k + 1) * length // count - 1) for k in range(count)]
    found[-1] = (found[-1][0], int(stages[-1].end or 0))
    return found


def _with_schedule(
    config: dict[str, Any] | None, stages: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    """A configuration with fixed weights in these stages."""
    if config is None:
        return None
    weighting = config.get("weighting")
    fixed = {**(weighting if isinstance(weighting, dict) else {}), "name": "fixed"}
    schedule = {str(index): stage for index, stage in enumerate(stages)}
    return {**config, "weighting": fixed, "train_schedule": schedule}
