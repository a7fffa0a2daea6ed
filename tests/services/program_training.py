"""A trial that another program trains, as a worker trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from sweep.config.checks import check_config
from sweep.records import Trial
from sweep.records.writer import TrialWriter
from sweep.tracking.follower import Tracking
from sweep.training.factory import make_trainer, read_data
from sweep.training.job import train_trial
from sweep.training.trainer import Decision, EpochReport


def go_on(_: EpochReport) -> Decision:
    """Train to the end."""
    return Decision.CONTINUE


def train_in(
    folder: Path, cfg: DictConfig, decide: Callable[[EpochReport], Decision] = go_on
) -> tuple[Trial, list[int]]:
    """Train in a folder; returns the trial and the epochs that were reported."""
    stages = check_config(cfg)
    trainer = make_trainer(cfg, read_data(cfg))
    trainer.check(cfg, stages)
    seen = []

    def after_epoch(report: EpochReport) -> Decision:
        seen.append(report.epoch)
        return decide(report)

    writer = TrialWriter(folder, {"number": 0, "role": "default", "params": {}})
    follower = Tracking(cfg.tracking, folder, study=None, tell=print).follow(folder, "0000")
    train_trial(trainer, cfg, stages, writer, after_epoch, follower=follower)
    return Trial.read(folder), seen
