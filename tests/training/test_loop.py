"""A run: its records, its numbers, and that stopping anywhere changes none of them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import TrainingError
from sweep.files import read_json
from sweep.records.writer import TrialWriter
from sweep.training import checkpoint
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

STAGES = [
    "schedule=two_stages",
    "train_schedule.0.end=1",
    "train_schedule.1.start=2",
    "train_schedule.1.end=3",
]
TERMS = ["loss=[energy_per_atom,forces,atomic_multipoles,dipole_per_atom,total_charge,esps]"]


@pytest.fixture(scope="module")
def trainers():
    """One trainer per mapping of files, so that the setup is built once."""
    return {}


@pytest.fixture
def train(compose, trainers, tmp_path):
    """Train with overrides; ``stop_after`` is the epoch after which to stop."""

    def run(folder, *overrides, stop_after=None, decision=Decision.STOP):
        cfg = compose(*STAGES, *TERMS, *overrides)
        key = str(cfg.heads)
        if key not in trainers:
            trainers[key] = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        reports = []

        def after_epoch(report):
            reports.append(report)
            return decision if report.epoch == stop_after else Decision.CONTINUE

        result = train_trial(
            trainers[key],
            cfg,
            check_config(cfg),
            TrialWriter(tmp_path / folder, {"number": 0}),
            after_epoch,
        )
        return result, reports

    return run


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        name: pd.read_parquet(folder / f"{name}.parquet")
        for name in ("breakdown", "metrics", "balance")
    }


def log_lines(folder: Path) -> list[str]:
    """The log without the times."""
    lines = (folder / "logs" / "fit_debug.log").read_text().splitlines()
    return [line.split(" ", 2)[2] for line in lines]


def test_a_run_leaves_complete_records(train, tmp_path):
    result, reports = train("a")
    found = tables(tmp_path / "a")
    steps = found["breakdown"]
    assert result.state == "COMPLETE"
    assert steps["step"].tolist() == list(range(12))  # 12 configurations in batches of 4, 4 epochs
    assert steps["epoch"].tolist() == [epoch for epoch in range(4) for _ in range(3)]
    assert steps["stage"].tolist() == [0] * 6 + [1] * 6
    names = [c.removeprefix("raw.") for c in steps.columns if c.startswith("raw.")]
    assert names == ["energy_per_atom", "forces", "atomic_multipoles", "dipole_per_atom",
                     "total_charge", "esps"]  # fmt: skip
    weighted = sum(steps[f"raw.{name}"] * steps[f"weight.{name}"] for name in names)
    np.testing.assert_allclose(weighted, steps["total"], rtol=1e-6)
    assert (steps["grad_norm"] > 0).all()
    valid = found["metrics"].query("split == 'valid'")
    assert valid["epoch"].tolist() == [0, 1, 2, 3]
    assert valid["score"].min() == result.score == reports[-1].best_score
    (test,) = found["metrics"].query("split == 'test'").to_dict("records")
    assert test["epoch"] == result.epoch
    assert test["score"] == result.metrics["test"]["score"]
    # Every second epoch, and the last of each stage.
    assert found["balance"]["epoch"].unique().tolist() == [0, 1, 2, 3]
    lines = log_lines(tmp_path / "a")
    assert sum("loss breakdown" in line for line in lines) == 12
    assert sum("INFO: Epoch" in line for line in lines) == 4
    content = read_json(tmp_path / "a" / "trial.json")
    assert content["state"] == "COMPLETE"
    assert content["score"] == result.score
    assert content["versions"]["torch"] == version("torch")
    shares = reports[-1].shares
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("stop_after", [0, 1, 2])  # 1 is the last epoch of the first stage
@pytest.mark.parametrize("weighting", ["fixed", "gradient_shares", "loss_shares"])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(train, tmp_path, stop_after, weighting):
    overrides = ["trainer.scheduler_patience=0", f"weighting={weighting}"]
    if weighting == "gradient_shares":
        overrides.append("weighting.interval=2")
    whole, _ = train("whole", *overrides)
    stopped, _ = train("parts", *overrides, stop_after=stop_after)
    assert stopped.state == "STOPPED"
    resumed, _ = train("parts", *overrides)
    assert resumed == whole
    for name, table in tables(tmp_path / "whole").items():
        pd.testing.assert_frame_equal(table, tables(tmp_path / "parts")[name])
    assert log_lines(tmp_path / "parts") == log_lines(tmp_path / "whole")
    states = [checkpoint.load(tmp_path / f / "checkpoint.pt") for f in ("whole", "parts")]
    for key, value in states[0]["member"]["model"].items():
        assert torch.equal(value, states[1]["member"]["model"][key])


def test_the_weights_that_acted_are_recorded(train, tmp_path):
    """They follow the training: each term has its share of the gradient, and none is clipped."""
    train("a", "weighting=gradient_shares", "weighting.interval=1", "weighting.smoothing=0")
    found = tables(tmp_path / "a")
    steps = found["breakdown"]
    names = [c.removeprefix("raw.") for c in steps.columns if c.startswith("raw.")]
    weighted = sum(steps[f"raw.{name}"] * steps[f"weight.{name}"] for name in names)
    np.testing.assert_allclose(weighted, steps["total"], rtol=1e-5)
    assert all(steps[f"weight.{name}"].nunique() == len(steps) for name in names)
    assert (steps["grad_norm"] <= 1.0001).all()
    assert (found["balance"]["weighted_norm"] > 0).all()
    log = [line for line in log_lines(tmp_path / "a") if "loss breakdown" in line]
    forces = float(steps["raw.forces"][0] * steps["weight.forces"][0])
    assert f"forces: {forces!r}" in log[0]


def test_rows_of_an_unfinished_epoch_are_dropped(train, tmp_path):
    """A run killed after writing its tables and before its checkpoint."""
    whole, _ = train("whole")
    train("parts", stop_after=1)
    before = (tmp_path / "parts" / "checkpoint.pt").read_bytes()
    train("parts", stop_after=2)
    (tmp_path / "parts" / "checkpoint.pt").write_bytes(before)
    resumed, _ = train("parts")
    assert resumed == whole
    for name, table in tables(tmp_path / "whole").items():
        pd.testing.assert_frame_equal(table, tables(tmp_path / "parts")[name])
    assert log_lines(tmp_path / "parts") == log_lines(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(train, tmp_path):
    first, _ = train("a")
    again, reports = train("a")
    assert again == first
    assert [report.epoch for report in reports] == [3]
    test_rows = tables(tmp_path / "a")["metrics"].query("split == 'test'")
    assert len(test_rows) == 1


def test_same_seed_same_numbers_other_seed_other_numbers(train, tmp_path):
    first, _ = train("a")
    same, _ = train("b")
    other, _ = train("c", "seed=1")
    assert same == first
    assert other.score != first.score


def test_a_pruned_run_keeps_what_it_has(train, tmp_path):
    result, _ = train("a", stop_after=1, decision=Decision.PRUNE)
    assert result.state == read_json(tmp_path / "a" / "trial.json")["state"] == "PRUNED"
    assert set(result.metrics) == {"valid"}
    assert len(tables(tmp_path / "a")["breakdown"]) == 6


def test_the_last_epoch_counts_if_asked(train):
    result, reports = train("a", "objective.epoch=last")
    assert result.epoch == 3
    assert result.score == reports[-1].score


def test_a_loss_that_is_not_finite_ends_the_run_and_is_named(train, tmp_path):
    with pytest.raises(TrainingError, match=r"epoch 0, batch 1: term 'energy_per_atom' is not fin"):
        train("a", "train_schedule.0.lr=1e30")
    content = read_json(tmp_path / "a" / "trial.json")
    assert content["state"] == "FAILED"
    assert "batch 1" in content["reason"]
    assert not (tmp_path / "a" / "checkpoint.pt").exists()


@pytest.mark.parametrize("name", ["checkpoint.pt", "breakdown.parquet", "metrics.parquet"])
def test_a_trial_with_a_damaged_file_begins_again_and_keeps_it(train, tmp_path, name):
    whole, _ = train("whole")
    train("a", stop_after=1)
    path = tmp_path / "a" / name
    damaged = path.read_bytes()[:1000]
    path.write_bytes(damaged)
    result, reports = train("a")
    assert result == whole
    assert [report.epoch for report in reports] == [0, 1, 2, 3]
    assert name in read_json(tmp_path / "a" / "trial.json")["restarted"]
    (aside,) = (tmp_path / "a" / "damaged").iterdir()
    assert (aside / name).read_bytes() == damaged


def test_stages_with_their_own_terms(train, tmp_path):
    result, _ = train("a", "train_schedule.1.loss={forces:10,stress:0}")
    steps = tables(tmp_path / "a")["breakdown"]
    assert result.state == "COMPLETE"
    assert steps["weight.forces"].tolist() == [100.0] * 6 + [10.0] * 6
    assert steps["raw.esps"].isna().tolist() == [False] * 6 + [True] * 6
    lines = log_lines(tmp_path / "a")
    assert "energy_per_atom" in lines[0]
    assert "energy_per_atom" not in lines[-2]


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.ema=false", "trainer.clip_grad=null", "trainer.scheduler=null"],
        ["trainer.optimizer=adamw", "trainer.scheduler=ExponentialLR", "trainer.amsgrad=false"],
        ["trainer.default_dtype=float64", "trainer.balance_interval=0"],
    ],
)
def test_trainer_options(train, tmp_path, options):
    train("parts", *options, stop_after=1)
    result, _ = train("parts", *options)
    whole, _ = train("whole", *options)
    assert result == whole
    lr = pd.read_parquet(tmp_path / "whole" / "breakdown.parquet")["lr"]
    decays = "trainer.scheduler=ExponentialLR" in options
    assert (lr.iloc[0] != lr.iloc[5]) == decays
