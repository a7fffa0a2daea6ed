"""Reading breakdown tables by columns gives what pandas gives from the whole file."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.errors import DamagedRecordError
from sweep.records.breakdown import evolution, stage_ends

N_PER_EPOCH = 50


def make_table(n_epochs, stages):
    rng = np.random.default_rng(0)
    n = n_epochs * N_PER_EPOCH
    epoch = np.repeat(np.arange(n_epochs), N_PER_EPOCH)
    table = pd.DataFrame({"step": np.arange(n), "epoch": epoch, "stage": stages[epoch]})
    for name, in_stages in (("a", (0, 1)), ("b", (0,)), ("off", (0, 1))):
        there = table["stage"].isin(in_stages)
        table[f"raw.{name}"] = pd.Series(rng.lognormal(size=n)).where(there) * (name != "off")
        table[f"weight.{name}"] = (table["stage"] + 2.0).where(there) * (name != "off")
    return table


@pytest.fixture(params=[7, 64, 10**6], ids=["small groups", "groups", "one group"])
def recorded(request, tmp_path):
    """A path and its content; epochs straddle row groups."""
    table = make_table(30, np.repeat([0, 1], [18, 12]))
    path = tmp_path / "breakdown.parquet"
    pq.write_table(pa.Table.from_pandas(table), path, row_group_size=request.param)
    return path, table


def test_the_end_of_every_stage(recorded):
    path, table = recorded
    ends = stage_ends(path)
    assert [(end.stage, end.epoch) for end in ends] == [(0, 17), (1, 29)]
    for end in ends:
        rows = table[table["epoch"] == end.epoch]
        names = {"a", "b", "off"} if end.stage == 0 else {"a", "off"}
        assert set(end.weights) == set(end.raw) == set(end.weighted) == names
        for name in names:
            assert end.weights[name] == rows[f"weight.{name}"].iloc[-1]
            assert end.raw[name] == pytest.approx(rows[f"raw.{name}"].mean())
            product = rows[f"raw.{name}"] * rows[f"weight.{name}"]
            assert end.weighted[name] == pytest.approx(product.mean())


def test_the_evolution_by_epochs(recorded):
    path, table = recorded
    history = evolution(path)
    np.testing.assert_array_equal(history.epoch, np.arange(30))
    np.testing.assert_array_equal(history.stage, np.repeat([0, 1], [18, 12]))
    weighted = pd.DataFrame({n: table[f"raw.{n}"] * table[f"weight.{n}"] for n in ("a", "b")})
    means = weighted.groupby(table["epoch"]).mean()
    shares = means.div(means.sum(axis=1), axis=0)
    np.testing.assert_allclose(history.weighted["a"], means["a"])
    np.testing.assert_allclose(history.shares["b"], shares["b"])
    assert np.isnan(history.shares["b"][18:]).all()
    np.testing.assert_allclose(history.step, np.arange(30) * N_PER_EPOCH + (N_PER_EPOCH - 1) / 2)


def test_the_evolution_is_thinned(recorded):
    path, table = recorded
    history = evolution(path, max_bins=8)
    assert len(history.epoch) <= 9  # the start of a stage begins another one
    assert set(np.diff(history.stage)) == {0, 1}
    # Bins of four epochs; the change of stage cuts one in two.
    np.testing.assert_allclose(history.epoch, [1.5, 5.5, 9.5, 13.5, 16.5, 18.5, 21.5, 25.5, 28.5])
    first = table[table["epoch"] < 4]
    assert history.weighted["a"][0] == pytest.approx((first["raw.a"] * first["weight.a"]).mean())


def test_a_short_run_is_resolved_within_its_epochs(tmp_path):
    path = tmp_path / "breakdown.parquet"
    table = make_table(2, np.zeros(2, dtype=int))
    table.to_parquet(path)
    history = evolution(path)
    assert len(history.epoch) == 60
    assert (np.diff(history.epoch) > 0).all()
    assert 0 <= history.epoch[0] < 0.05
    assert 1.95 < history.epoch[-1] < 2
    weighted = table["raw.a"] * table["weight.a"]
    assert history.weighted["a"][0] == pytest.approx(weighted[:2].mean())


def test_a_run_that_has_no_rows_yet(tmp_path):
    path = tmp_path / "breakdown.parquet"
    make_table(1, np.zeros(1, dtype=int)).iloc[:0].to_parquet(path)
    assert stage_ends(path) == []
    assert evolution(path) is None


def test_values_that_are_not_finite_stay_so(tmp_path):
    path = tmp_path / "breakdown.parquet"
    table = make_table(1, np.zeros(1, dtype=int))
    table.loc[3, "raw.a"] = math.inf
    table.to_parquet(path)
    assert stage_ends(path)[0].raw["a"] == math.inf


@pytest.mark.parametrize("keep", [0, 4, 40, -20])
def test_a_damaged_file_is_named(tmp_path, keep):
    path = tmp_path / "breakdown.parquet"
    make_table(3, np.zeros(3, dtype=int)).to_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (stage_ends, evolution):
        with pytest.raises(DamagedRecordError, match=r"breakdown\.parquet: damaged"):
            read(path)


def test_a_file_with_spoilt_pages_is_named(tmp_path):
    path = tmp_path / "breakdown.parquet"
    make_table(3, np.zeros(3, dtype=int)).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(bytes(content))
    for read in (stage_ends, evolution):
        with pytest.raises(DamagedRecordError, match=r"breakdown\.parquet: damaged"):
            read(path)


def test_a_table_of_something_else(tmp_path):
    path = tmp_path / "breakdown.parquet"
    pd.DataFrame({"x": [1.0]}).to_parquet(path)
    with pytest.raises(DamagedRecordError, match="has no column 'epoch'"):
        stage_ends(path)


def test_columns_of_text_where_numbers_are_expected(tmp_path):
    path = tmp_path / "breakdown.parquet"
    pd.DataFrame({"epoch": [0], "raw.a": ["x"], "weight.a": ["y"]}).to_parquet(path)
    for read in (stage_ends, evolution):
        with pytest.raises(DamagedRecordError, match=r"breakdown\.parquet: damaged"):
            read(path)
