"""The folder of a trial: after any interruption no epoch is missing and none is there twice."""

import numpy as np
import pandas as pd
import pytest

from sweep.errors import DamagedRecordError
from sweep.records.environment import environment
from sweep.records.epoch_tables import EpochTables

WEIGHTS = {"forces": 100.0, "esps": 0.0, "dipole": 2.0}
STEPS = 3


def raw_of(epoch):
    return np.arange(9.0).reshape(STEPS, 3) + 10 * epoch + 1


def add_epoch(record, epoch, stage=0, weights=WEIGHTS):
    raw = raw_of(epoch)[:, : len(weights)]
    record.add_steps(
        first_step=epoch * STEPS,
        epoch=epoch,
        stage=stage,
        lr=0.01 / (stage + 1),
        times=[1.7e9 + epoch + i for i in range(STEPS)],
        raw=raw,
        weights=weights,
        total=raw @ np.array(list(weights.values())),
        grad_norm=np.full(STEPS, 0.5),
    )
    record.add_metrics(
        step=(epoch + 1) * STEPS,
        epoch=epoch,
        stage=stage,
        split="valid",
        metrics={"loss": 0.1 * epoch, "score": 0.5, "rmse_energy": 0.002, "mae_energy": 0.001},
    )
    record.add_balance({"epoch": [epoch] * 2, "term": ["forces", "dipole"], "norm": [1.0, 2.0]})


def read(folder):
    tables = {
        name: pd.read_parquet(folder / f"{name}.parquet")
        for name in ("breakdown", "metrics", "balance")
    }
    return tables, (folder / "logs" / "fit_debug.log").read_text().splitlines()


def test_an_epoch_becomes_visible_as_a_whole(tmp_path):
    record = EpochTables(tmp_path, "fit")
    add_epoch(record, 0)
    assert not list(tmp_path.glob("*.parquet"))
    assert (tmp_path / "logs" / "fit_debug.log").read_text() == ""
    size = record.write()
    assert size == (tmp_path / "logs" / "fit_debug.log").stat().st_size > 0
    tables, _ = read(tmp_path)
    assert {name: len(table) for name, table in tables.items()} == {
        "breakdown": STEPS, "metrics": 1, "balance": 2,
    }  # fmt: skip


def test_columns_of_the_breakdown(tmp_path):
    record = EpochTables(tmp_path, "fit")
    for epoch in range(2):
        add_epoch(record, epoch)
    record.write()
    table = read(tmp_path)[0]["breakdown"]
    assert list(table) == [
        "step", "epoch", "stage", "lr", "total", "grad_norm",
        "raw.forces", "raw.esps", "raw.dipole", "weight.forces", "weight.esps", "weight.dipole",
    ]  # fmt: skip
    assert table["step"].tolist() == list(range(2 * STEPS))
    assert table["raw.esps"].tolist() == [2, 5, 8, 12, 15, 18]
    assert set(table["weight.forces"]) == {100.0}
    weighted = sum(table[f"raw.{name}"] * table[f"weight.{name}"] for name in WEIGHTS)
    np.testing.assert_allclose(weighted, table["total"])


def test_lines_of_the_log(tmp_path):
    record = EpochTables(tmp_path, "fit")
    for epoch in range(2):
        add_epoch(record, epoch)
        record.write()
    _, lines = read(tmp_path)
    kinds = ["breakdown" if "loss breakdown: " in line else "epoch" for line in lines]
    assert kinds == (["breakdown"] * STEPS + ["epoch"]) * 2
    # weighted values; a term of weight 0 is not evaluated and has none
    assert lines[0].endswith("loss breakdown: forces: 100.0, dipole: 6.0, ")
    assert lines[3].endswith(" INFO: Epoch 0: loss=  0.0000, RMSE_energy=    2.00 meV/atom")


def test_a_test_evaluation_is_in_the_table_and_not_in_the_log(tmp_path):
    record = EpochTables(tmp_path, "fit")
    add_epoch(record, 0)
    metrics = {"loss": 9.0, "score": 0.25, "rmse_energy": 7.0}
    record.add_metrics(step=3, epoch=0, stage=0, split="test", metrics=metrics)
    record.write()
    tables, lines = read(tmp_path)
    assert tables["metrics"]["split"].tolist() == ["valid", "test"]
    assert tables["metrics"]["score"].tolist() == [0.5, 0.25]
    assert len([line for line in lines if "Epoch" in line]) == 1


@pytest.mark.parametrize("committed", ["before", "after"])
@pytest.mark.parametrize("died_in", [0, 1, 2])
def test_a_run_that_dies_leaves_no_gap_and_no_doubled_row(tmp_path, died_in, committed):
    """It dies in an epoch, before its rows were written or after, but without its checkpoint."""
    record = EpochTables(tmp_path, "fit")
    size = 0
    for epoch in range(died_in):
        add_epoch(record, epoch)
        size = record.write()
    add_epoch(record, died_in)
    if committed == "after":
        record.write()

    record = EpochTables(
        tmp_path, "fit", last_epoch=died_in - 1, log_size=size, n_steps=died_in * STEPS
    )
    for epoch in range(died_in, 4):
        add_epoch(record, epoch)
        record.write()

    whole = tmp_path / "whole"
    record = EpochTables(whole, "fit")
    for epoch in range(4):
        add_epoch(record, epoch)
        record.write()
    tables, lines = read(tmp_path)
    expected, expected_lines = read(whole)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, expected[name])
    cut = len("2026-11-22 10:15:42.123")  # the clock goes on
    assert [line[cut:] for line in lines] == [line[cut:] for line in expected_lines]


def test_a_finished_run_that_goes_on_measures_the_test_set_once(tmp_path):
    record = EpochTables(tmp_path, "fit")
    add_epoch(record, 0)
    size = record.write()
    for goes_on in (False, True):
        if goes_on:
            record = EpochTables(tmp_path, "fit", last_epoch=0, log_size=size, n_steps=STEPS)
        record.add_metrics(step=3, epoch=0, stage=0, split="test", metrics={"loss": 1.0})
        record.write()
    assert read(tmp_path)[0]["metrics"]["split"].tolist() == ["valid", "test"]


@pytest.mark.parametrize("table", ["breakdown", "metrics"])
def test_a_record_that_is_damaged_or_lost_is_noticed(tmp_path, table):
    record = EpochTables(tmp_path, "fit")
    add_epoch(record, 0)
    size = record.write()
    resume = {"last_epoch": 0, "log_size": size, "n_steps": STEPS}
    EpochTables(tmp_path, "fit", **resume)
    path = tmp_path / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedRecordError, match=rf"{table}\.parquet: damaged"):
        EpochTables(tmp_path, "fit", **resume)
    path.unlink()
    with pytest.raises(DamagedRecordError, match=rf"{table}\.parquet: 0 rows; [13] were written"):
        EpochTables(tmp_path, "fit", **resume)


def test_stages_may_have_different_terms(tmp_path):
    record = EpochTables(tmp_path, "fit")
    add_epoch(record, 0, weights={"forces": 1.0, "esps": 2.0})
    record.write()
    add_epoch(record, 1, stage=1, weights={"forces": 3.0, "dipole": 4.0})
    record.write()
    table = read(tmp_path)[0]["breakdown"]
    assert table["raw.esps"].isna().tolist() == [False] * STEPS + [True] * STEPS
    assert table["weight.dipole"].isna().tolist() == [True] * STEPS + [False] * STEPS
    assert table["weight.forces"].tolist() == [1.0] * STEPS + [3.0] * STEPS
    assert table["lr"].tolist() == [0.01] * STEPS + [0.005] * STEPS


def test_the_environment_says_what_numbers_may_depend_on(tmp_path, monkeypatch):
    assert set(environment()["versions"]) >= {"torch", "mace-torch", "mace-loss-sweep"}
    monkeypatch.chdir(tmp_path)  # no repository here
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.__wrapped__()["git_commit"] is None
    monkeypatch.setenv("PATH", str(tmp_path))  # and no git
    assert environment.__wrapped__()["git_commit"] is None
