"""Advice from how the trainings went."""

import pandas as pd
import pytest

from sweep.report.advice.training import worse_from_the_start

RISING, FALLING = [0.5, 0.7, 0.6, 0.8, 0.9], [0.5, 0.4, 0.3, 0.2, 0.1]
FALLS_LATE = [0.5, 0.7, 0.6, 0.8, 0.4]
SHORT = [0.5, 0.6]


@pytest.fixture
def trained(study):
    """A study of trials with these validation scores by epoch."""

    def make(*curves, **more):
        c = study(*(({}, {"forces": 0.1}, more) for _ in curves))
        for trial, curve in zip(c.source.study, curves, strict=True):
            path = trial.folder / "metrics.parquet"
            row = pd.read_parquet(path).iloc[[0]].assign(split="valid")
            table = pd.concat([row.assign(epoch=i, score=v) for i, v in enumerate(curve)])
            table.to_parquet(path)
        return c

    return make


@pytest.mark.parametrize(
    ("curves", "counts"),
    [
        ((RISING, FALLING), [1, 2]),
        ((RISING, RISING, FALLING), [2, 3]),
        ((RISING, FALLING, FALLING), None),
        ((FALLING, FALLING), None),
        ((FALLS_LATE, FALLS_LATE), None),
        ((SHORT, SHORT), None),
        (([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), None),
    ],
)
def test_trials_that_only_got_worse(trained, said, numbers, curves, counts):
    found = said(worse_from_the_start, trained(*curves))
    if counts is None:
        assert found == []
        return
    (text,) = found
    assert numbers(text)[:2] == counts
    assert "a smaller train_schedule.0.lr" in text


def test_the_rate_is_named_and_a_damaged_table_is_none(trained, said):
    c = trained(RISING, RISING)
    rate = c.source.study[0].stages[0].lr
    (text,) = said(worse_from_the_start, c)
    assert f"train_schedule.0.lr (now {rate:g})" in text
    for trial in c.source.study:
        (trial.folder / "metrics.parquet").write_bytes(b"")
    assert said(worse_from_the_start, c) == []


def test_a_copy_of_a_trial_is_no_second_one(trained, said):
    c = trained(RISING, FALLING, same_as=0)
    assert said(worse_from_the_start, c) == []


def test_one_training(trained, said):
    (text,) = said(worse_from_the_start, trained(RISING))
    assert text.startswith("The training was best in its first evaluated epoch")
