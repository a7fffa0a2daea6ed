"""Stages that trials have in common are trained once: which trials these are, and who trains them.

Where nothing that is searched changes the first stages, as with ``search.stages=last``, they are
trained in the first trial that needs them and kept in ``prefixes/``; every other trial whose
configuration is the same up to their end starts from there. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import stages_of
from sweep.config.stages import Stage
from sweep.config.trainers import trainer_kind
from sweep.files import write_text
from sweep.locks import locked
from sweep.records import Trial
from sweep.records.prefix import Prefix
from sweep.search.space import values_in
from sweep.study.queue import TrialQueue
from sweep.study.spec import StudySpec
from sweep.training.trainer import EpochReport

__all__ = ["Prefixes", "n_shared_stages", "scores_before"]

# They change no number of a training, or all trials of a study have them in common.
_NAMES = ("heads", "search", "cache_dir", "loss", "train_schedule", "tracking")


class Prefixes:
    """The first stages of trainings in one phase of a study.

    Args:
        spec: The study.
        queue: The trials of the phase; ``prefixes/`` lies beside its locks.
    """

    def __init__(self, spec: StudySpec, queue: TrialQueue) -> None:
        self._spec = spec
        self._queue = queue
        self._folder = queue.lock_path.parents[1] / "prefixes"

    @cached_property
    def _n_stages(self) -> int:
        return n_shared_stages(self._spec)

    def of(self, cfg: DictConfig, stages: Sequence[Stage]) -> Prefix | None:
        """The first stages of a trial that others may have, too; None if there are none.

        Args:
            cfg: Its configuration, without the ``hydra`` node.
            stages: Its stages.
        """
        n_stages = self._n_stages
        if not n_stages:
            return None
        name = f"{_key(cfg, stages, n_stages)}.zip"
        return Prefix(self._folder / name, n_stages, stages[n_stages - 1].end + 1)

    def wait(self, prefix: Prefix, number: int, stopped: Callable[[], bool]) -> None:
        """Wait until the first stages are trained, or it is for this trial to train them.

        Args:
            prefix: The first stages.
            number: Number of the trial.
            stopped: Whether the user wants to stop; it ends the waiting.
        """
        claim = prefix.path.with_suffix(".trial")  # who trains them
        while not prefix.is_there():
            with locked(self._queue.lock_path):
                by = _number_in(claim)
                if by in (None, number) or not self._queue.is_at_work(by):
                    write_text(claim, f"{number}\n")
                    return
            if self._queue.wait(stopped):
                return


def scores_before(
    report: EpochReport, reported: Collection[int], folder: Path, use_best: bool
) -> list[tuple[int, float]]:
    """Earlier epochs of a trial that Optuna was not told of, with their scores: those taken over.

    Args:
        report: An epoch.
        reported: The epochs that Optuna knows.
        folder: Folder of the trial.
        use_best: Whether the best score so far counts.
    """
    if all(epoch in reported for epoch in range(report.epoch)):
        return []
    table = Trial.read(folder).metrics()
    rows = table[(table["split"] == "valid") & (table["epoch"] < report.epoch)]
    scores = rows["score"].cummin() if use_best else rows["score"]
    pairs = zip(rows["epoch"].tolist(), scores.tolist(), strict=True)
    return [(epoch, score) for epoch, score in pairs if epoch not in reported]


def n_shared_stages(spec: StudySpec) -> int:
    """How many first stages are the same whatever is searched; 0 where another program trains."""
    base = spec.base
    if trainer_kind(base).is_program:
        return 0
    n_stages = len(stages_of(base)) - 1
    for key, distribution in spec.space.distributions.items():
        for value in values_in(distribution) if n_stages else ():
            cfg = base.copy()
            spec.space.apply({key: value}, cfg)
            stages, own = stages_of(cfg), stages_of(base)
            while n_stages and _key(cfg, stages, n_stages) != _key(base, own, n_stages):
                n_stages -= 1
    return n_stages


def _key(cfg: DictConfig, stages: Sequence[Stage], n_stages: int) -> str:
    """A digest of all that determines the first stages of a training."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    for key in _NAMES:
        plain.pop(key, None)
    # The numbers of a CPU and of a GPU differ, those of two GPUs should not.
    plain["trainer"]["device"] = str(plain["trainer"]["device"]).partition(":")[0]
    first = [asdict(stage) for stage in stages[:n_stages]]
    if plain["weighting"]["name"] == "fixed":
        plain["weighting"] = {"name": "fixed"}
        for stage in first:
            stage.pop("shares")
    found = {
        **plain,
        "stages": first,
        "evaluated_with": stages[-1].options,  # as in sweep.training.loop
        "terms": [list(stage.loss) for stage in stages],  # of the state of a weighting
    }
    text = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
