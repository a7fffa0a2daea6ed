"""The shipped experiments on the data that they name: preflight, and an epoch of every stage."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data.dataset import load
from sweep.hydra_plugin.registration import register
from sweep.records.writer import TrialWriter
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.preflight import preflight
from sweep.training.setup import Setup
from sweep.training.trainer import Decision

EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))


def composed(experiment, *overrides):
    register()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", [f"+experiment={experiment}", *overrides])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_epoch_of_every_stage(experiment, tmp_path):
    cfg = composed(experiment, "trainer.balance_interval=0")
    for index, stage in enumerate(cfg.train_schedule.values()):
        stage.start = stage.end = index
    stages = check_config(cfg)
    dataset = load(cfg.heads, split_seed=cfg.split_seed)
    reports = []

    def after_epoch(report):
        reports.append(report)
        return Decision.CONTINUE

    entries = {"number": 0, "role": "default", "params": {}}
    result = train_trial(
        OwnTrainer(dataset), cfg, stages, TrialWriter(tmp_path, entries), after_epoch
    )
    assert result.state == "COMPLETE"
    assert [report.stage.name for report in reports] == [stage.name for stage in stages]
    for metric in cfg.objective.metrics:
        assert result.metrics["test"][f"rmse_{metric}"] > 0
    for stage, report in zip(stages, reports, strict=True):
        weighted = {name for name, weight in stage.weights.items() if weight > 0}
        assert {name for name, share in report.shares.items() if share > 0} == weighted


@pytest.mark.parametrize(
    ("experiment", "metric"),
    [("stress_weights", "stress"), ("polarizability_weights", "polarizability")],
)
def test_preflight_finds_nothing(experiment, metric):
    cfg = composed(experiment, "trainer.valid_batch_size=8")
    stages = check_config(cfg)
    setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    assert metric in setup.objective
    table = preflight(setup, stages)
    status = {
        str(cell)
        for column in table.columns
        if str(column.header) == "status"
        for cell in column.cells
    }
    assert status == {"ok"}
    assert len(stages) == 2
