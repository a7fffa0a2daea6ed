"""Trainings of our own trainer in folders of a test, which can be stopped."""

import pytest

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.records.writer import TrialWriter
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision


@pytest.fixture(scope="module")
def trainers():
    """One trainer per mapping of files, so that the setup is built once."""
    return {}


@pytest.fixture
def train_with(compose, trainers, tmp_path):
    """Train with overrides; ``stop_after`` is the epoch after which to stop."""

    def run(folder, *overrides, stop_after=None, decision=Decision.STOP):
        cfg = compose(*overrides)
        key = str(cfg.heads)
        if key not in trainers:
            trainers[key] = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        reports = []

        def after_epoch(report):
            reports.append(report)
            return decision if report.epoch == stop_after else Decision.CONTINUE

        writer = TrialWriter(tmp_path / folder, {"number": 0})
        result = train_trial(trainers[key], cfg, check_config(cfg), writer, after_epoch)
        return result, reports

    return run
