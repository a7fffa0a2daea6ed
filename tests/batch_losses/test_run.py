"""Trials are read batch by batch, and runs of any length fit into bounded memory."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest

from sweep.batch_losses.curves import Curves
from sweep.batch_losses.log import from_log
from sweep.batch_losses.run import Range, from_trial
from sweep.errors import InputError
from sweep.files import write_json

ALL = Range()


def values(run, name):
    """The values of a term, one batch after another; NaN where it is not finite."""
    assert run.curves.bin_width == 1
    return run.curves.term(name).mean.tolist()


def test_a_trial_and_its_log_say_the_same(make_trial, tmp_path):
    folder = make_trial(7, role="default")
    by_table = from_trial(folder, ALL)
    by_log = from_log(folder / "logs" / "fit_debug.log", ALL)
    assert by_table.curves.names == by_log.curves.names == ["forces", "esps", "forces_huber"]
    for name in by_table.curves.names:
        assert values(by_table, name) == pytest.approx(values(by_log, name), rel=1e-15)
    assert values(by_table, "forces") == pytest.approx([2.0, 4.0, 1.0, 2.0])
    assert by_table.epochs == by_log.epochs == [(0, 0), (1, 2)]
    assert by_table.marks == by_log.marks == [(0, "first")]
    assert by_table.title == f"{tmp_path.name}, trial 0007"


def test_terms_of_weight_zero_are_not_drawn(make_trial):
    loss = {"forces": {"weight": 1.0}, "esps": {"weight": 0.0}}
    assert from_trial(make_trial(0, loss=loss), ALL).curves.names == ["forces"]


def test_broken_trials(make_trial, tmp_path):
    folder = make_trial(0)
    write_json(folder / "trial.json", {"stages": "?"})
    assert from_trial(folder, ALL).marks == []
    table = folder / "breakdown.parquet"
    pq.write_table(pq.read_table(table).drop(["epoch"]), table)
    with pytest.raises(InputError, match=r"breakdown.parquet: damaged"):
        from_trial(folder, ALL)
    table.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"breakdown.parquet: damaged"):
        from_trial(folder, ALL)
    table.unlink()
    with pytest.raises(InputError, match="has finished no epoch yet"):
        from_trial(folder, ALL)


def test_a_long_run_is_binned_without_losing_extremes(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.lognormal(size=(100_003, 2))
    data[5000, 0] = math.nan
    data[70_000, 1] = 1e9
    data[80_000, 1] = 0.0
    curves = Curves()
    for start in range(0, len(data), 777):
        curves.add(["a", "b"], 50 + start, data[start : start + 777])
    assert curves.bin_width == 8
    assert (curves.first_step, curves.last_step) == (50, 100_052)
    a, b = curves.term("a"), curves.term("b")
    assert len(a.steps) == math.ceil(len(data) / 8)
    assert a.nonfinite.sum() == 1
    assert b.zero.sum() == 1
    assert b.high.max() == 1e9
    assert b.low.min() == data[data[:, 1] > 0, 1].min()
    assert a.mean[0] == pytest.approx(np.exp(np.log(data[:8, 0]).mean()))
    assert a.steps[1] == 50 + 8 + 3.5


def test_smoothing_keeps_stages_apart():
    curves = Curves()
    curves.add(["a"], 0, np.array([1.0, 1, math.nan, 1, 100, 100, 100])[:, None])
    smooth = curves.term("a").smoothed(5, [4])
    assert smooth[[0, 1, 3]] == pytest.approx([1.0] * 3)
    assert math.isnan(smooth[2])
    assert smooth[4:] == pytest.approx([100.0] * 3)
