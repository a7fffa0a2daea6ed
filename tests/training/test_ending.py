"""Trainings that end early or are not evaluated in every epoch, stopped anywhere or not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sweep.files import read_json
from sweep.records import Trial
from sweep.training.trainer import Decision

STAGES = [
    "schedule=two_stages", "train_schedule.0.end=1", "train_schedule.1.start=2",
    "train_schedule.1.end=8", "loss=[energy_per_atom,forces]", "trainer.balance_interval=0",
]  # fmt: skip
# Steps that no parameter feels: the scores of the second stage are all the same.
STANDSTILL = ["train_schedule.1.lr=1e-30", "trainer.ema=false", "trainer.patience=2"]
LAST = 4  # 2, 3 and 4 are evaluated, and the last two are no better


@pytest.fixture
def train(train_with):
    """Train in the stages of this file: see ``train_with``."""
    return lambda folder, *overrides, **how: train_with(folder, *STAGES, *overrides, **how)


def records(folder: Path) -> tuple:
    """Tables and log without the times."""
    lines = (folder / "logs" / "fit_debug.log").read_text().splitlines()
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("breakdown", "metrics")]
    return tables, [line.split(" ", 2)[2] for line in lines]


def assert_same(one: Path, other: Path) -> None:
    (tables, lines), (others, other_lines) = records(one), records(other)
    for table, expected in zip(tables, others, strict=True):
        pd.testing.assert_frame_equal(table, expected)
    assert lines == other_lines


def test_it_ends_when_the_last_stage_does_not_get_better(train, tmp_path):
    result, reports = train("a", *STANDSTILL)
    assert [report.epoch for report in reports] == list(range(LAST + 1))
    assert result.state == "COMPLETE"
    assert "test" in result.metrics
    trial = Trial.read(tmp_path / "a")
    assert (trial.epochs_trained, trial.planned_epochs) == (LAST + 1, 9)
    assert trial.details["ended_early"] == result.details["ended_early"] == (
        "ended after epoch 4 of 8: no better score in 2 evaluations (trainer.patience)"
    )  # fmt: skip
    assert trial.metrics().query("split == 'valid'")["epoch"].tolist() == list(range(LAST + 1))


def test_without_patience_it_goes_to_the_end(train, tmp_path):
    _, reports = train("a", *STANDSTILL[:2])
    assert reports[-1].epoch == 8
    assert "ended_early" not in read_json(tmp_path / "a" / "trial.json")


def test_the_first_stage_goes_to_its_end(train):
    _, reports = train(
        "a", *STANDSTILL, "train_schedule.0.lr=1e-30", "train_schedule.0.end=5",
        "train_schedule.1.start=6",
    )  # fmt: skip
    assert reports[-1].epoch == 8


@pytest.mark.parametrize("stop_after", range(LAST + 1))
def test_stopped_and_resumed_it_ends_where_it_would_have_ended(train, tmp_path, stop_after):
    whole, _ = train("whole", *STANDSTILL)
    stopped, _ = train("parts", *STANDSTILL, stop_after=stop_after)
    assert stopped.state == ("COMPLETE" if stop_after == LAST else "STOPPED")
    for _ in range(2):  # and it is not trained beyond its end
        resumed, reports = train("parts", *STANDSTILL)
        assert reports[-1].epoch == LAST
        assert resumed == whole
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_judged_by_the_last_epoch_that_was_trained(train):
    result, _ = train("a", *STANDSTILL, "objective.epoch=last")
    assert result.epoch == LAST


def test_an_end_that_would_be_pruned_is_complete(train):
    result, _ = train("a", *STANDSTILL, stop_after=LAST, decision=Decision.PRUNE)
    assert result.state == "COMPLETE"


EVALUATED = [0, 1, 3, 6, 8]  # every third, and the last of each stage


def test_epochs_that_are_not_evaluated_train_the_same(train, tmp_path):
    """Where no scheduler looks at the validation."""
    fixed = ["trainer.scheduler=ExponentialLR"]
    _, every = train("every", *fixed)
    _, some = train("some", *fixed, "trainer.eval_interval=3")
    (steps, metrics), lines = records(tmp_path / "some")
    (all_steps, all_metrics), _ = records(tmp_path / "every")
    pd.testing.assert_frame_equal(steps, all_steps)
    valid = metrics.query("split == 'valid'")
    assert valid["epoch"].tolist() == EVALUATED
    expected = all_metrics.query("split == 'valid' and epoch in @EVALUATED")
    pd.testing.assert_frame_equal(valid.reset_index(drop=True), expected.reset_index(drop=True))
    assert sum("INFO: Epoch" in line for line in lines) == len(EVALUATED)
    assert [report.epoch for report in some if report.is_evaluated] == EVALUATED
    for report in some:
        last = max(epoch for epoch in EVALUATED if epoch <= report.epoch)
        assert report.score == every[last].score
        assert report.best_score == min(r.score for r in every if r.epoch in EVALUATED[: 1 + (
            EVALUATED.index(last))])  # fmt: skip


@pytest.mark.parametrize("stop_after", [0, 1, 2, 4, 6, 7])
def test_stopped_between_evaluations_and_resumed(train, tmp_path, stop_after):
    overrides = ["trainer.eval_interval=3", "trainer.scheduler_patience=0"]
    whole, _ = train("whole", *overrides)
    train("parts", *overrides, stop_after=stop_after)
    resumed, _ = train("parts", *overrides)
    assert resumed == whole
    assert whole.epoch in EVALUATED
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_the_plateau_counts_epochs_as_in_mace(train, tmp_path):
    """One that is not evaluated counts with what was seen last, but not in another stage."""
    train("a", "trainer.eval_interval=3", "trainer.scheduler_patience=0", "trainer.lr_factor=0.5",
          "trainer.ema=false")  # fmt: skip
    (steps, _), _ = records(tmp_path / "a")
    rates = steps.groupby("epoch")["lr"].first()
    # 3 is the first of its stage that is evaluated; 4 is not, and so no better than 3.
    assert rates[2] == rates[3] == rates[4] == 2 * rates[5]


def test_patience_counts_evaluations(train):
    _, reports = train("a", *STANDSTILL, "trainer.eval_interval=2")
    assert [r.epoch for r in reports if r.is_evaluated] == [0, 1, 2, 4, 6]
    assert reports[-1].epoch == 6
