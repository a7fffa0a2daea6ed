"""A run: its records, its numbers, and that stopping anywhere changes none of them."""

from __future__ import annotations

import itertools
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sweep.errors import TrainingError
from sweep.files import read_json
from sweep.records import Trial
from sweep.training import checkpoint
from sweep.training.trainer import Decision

STAGES = [
    "schedule=two_stages",
    "train_schedule.0.end=1",
    "train_schedule.1.start=2",
    "train_schedule.1.end=3",
]
TERMS = ["loss=[energy_per_atom,forces,atomic_multipoles,dipole_per_atom,total_charge,esps]"]


@pytest.fixture
def train(train_with):
    """Train in the stages of this file: see ``train_with``."""
    return lambda folder, *overrides, **how: train_with(folder, *STAGES, *TERMS, *overrides, **how)


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


def test_every_config_type_is_measured_by_itself(train, tmp_path):
    result, _ = train("a")
    trial = Trial.read(tmp_path / "a")
    by_type = result.details["config_types"]
    assert set(by_type) == {"valid", "test"}
    for split, found in by_type.items():
        assert sum(of["n"] for of in found.values()) == 6
        assert len(found) > 1
        energies = sum(of["n"] * of["rmse_energy"] ** 2 for of in found.values()) / 6
        assert energies**0.5 == pytest.approx(result.metrics[split]["rmse_energy"], rel=1e-4)
    name, (n, errors) = next(iter(trial.errors_by("config_type", "test").items()))
    assert errors["forces"] == by_type["test"][name]["rmse_forces"]
    assert n == by_type["test"][name]["n"]


@pytest.mark.parametrize(
    ("weighting", "stop_after"),  # 1 is the last epoch of the first stage
    [*itertools.product(["fixed", "gradient_shares", "loss_shares"], [0, 1, 2]), ("famo", 1)],
)
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


def test_a_run_goes_on_under_another_objective(train, tmp_path):
    """Its epochs are judged anew; the best stays the one whose parameters are there."""
    stopped, before = train("a", "objective.metrics=[energy]", stop_after=1)
    found, reports = train("a", "objective.metrics=[forces]", "objective.statistic=mae")
    content = read_json(tmp_path / "a" / "trial.json")
    scale = content["scales"]["forces"]
    (seen, *_) = reports  # of the last epoch before
    assert seen.epoch == 1
    assert seen.score == before[1].metrics["mae_forces"] / scale != before[1].score
    kept = before[stopped.epoch].metrics["mae_forces"] / scale
    later = [report.metrics["mae_forces"] / scale for report in reports[1:]]
    assert found.score == min(kept, *later) == content["score"]
    assert found.epoch == (stopped.epoch if kept <= min(later) else 2 + np.argmin(later))
    assert found.metrics["valid"]["score"] == found.score


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


def test_a_stage_that_begins_with_a_jump_is_told(train, tmp_path):
    terms = "{energy_per_atom:1e3,forces:1e5,atomic_multipoles:1e5,esps:1e3}"
    options = [f"train_schedule.1.loss={terms}", "trainer.clip_grad=null",
               "train_schedule.1.lr=${train_schedule.0.lr}"]  # fmt: skip
    result, reports = train("a", *options)
    assert [report.remark is not None for report in reports] == [False, False, True, False]
    assert "stage stage2 begins with a gradient" in reports[2].remark
    (switch,) = result.details["switches"]
    assert switch["epoch"] == 2
    assert 500 < switch["gradient"] < 2000
    assert 5 < switch["steps"] < 7
    train("b", *options, stop_after=2)
    again, _ = train("b", *options)
    assert again.details["switches"] == [switch]
    assert again.score == result.score
    # the same terms, or weights that move: nothing to look at
    for other in ([], [options[0], "weighting=gradient_shares"]):
        assert "switches" not in train(f"c{len(other)}", *other)[0].details


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.ema=false", "trainer.clip_grad=null", "trainer.scheduler=null"],
        ["trainer.optimizer=adamw", "trainer.scheduler=ExponentialLR", "trainer.amsgrad=false"],
        ["trainer.default_dtype=float64", "trainer.balance_interval=0"],
        ["trainer.clip_grad=null", "trainer.clip_median=1.1"],
        ["trainer.optimizer=schedulefree", "trainer.ema=false", "trainer.beta=0.95"],
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
