"""The parquet tables of a trial."""

import os

import numpy as np
import pandas as pd
import pytest

from sweep.records.tables import Table


def rows(epoch, n=2, **columns):
    first = epoch * n
    return {
        "step": np.arange(first, first + n),
        "epoch": np.full(n, epoch),
        "total": np.linspace(0, 1, n) + epoch,
        **columns,
    }


def write(path, epochs, last_epoch=-1):
    table = Table(path, last_epoch=last_epoch)
    for epoch in epochs:
        table.append(rows(epoch))
        table.write()
    return table


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "t.parquet"
    assert len(write(path, range(3))) == 6
    data = pd.read_parquet(path)
    assert data["step"].tolist() == list(range(6))
    assert data["epoch"].tolist() == [0, 0, 1, 1, 2, 2]
    assert data["total"].tolist() == [0, 1, 1, 2, 2, 3]
    assert data["step"].dtype == np.int64
    assert data["total"].dtype == np.float64


@pytest.mark.parametrize("last_epoch", [-1, 0, 1, 2, 9])
def test_rows_of_an_unfinished_epoch_are_dropped(tmp_path, last_epoch):
    path = tmp_path / "t.parquet"
    write(path, range(3))
    table = Table(path, last_epoch=last_epoch)
    kept = min(last_epoch + 1, 3)
    assert len(table) == 2 * kept
    table.append(rows(kept))
    table.write()
    data = pd.read_parquet(path)
    assert data["step"].tolist() == list(range(2 * kept + 2))
    assert data["epoch"].max() == kept


def test_opening_alone_changes_no_file(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, range(3))
    before = path.read_bytes()
    Table(path, last_epoch=0)
    assert path.read_bytes() == before


def test_a_column_is_null_where_it_was_not_given(tmp_path):
    path = tmp_path / "t.parquet"
    table = Table(path, last_epoch=-1)
    table.append(rows(0, **{"raw.forces": [1.0, 2.0]}))
    table.append(rows(1, **{"raw.esps": [3.0, 4.0]}))
    table.write()
    data = pd.read_parquet(path)
    assert data["raw.forces"].isna().tolist() == [False, False, True, True]
    assert data["raw.esps"].isna().tolist() == [True, True, False, False]
    assert data["raw.esps"].tolist()[2:] == [3.0, 4.0]

    again = Table(path, last_epoch=0)
    again.append(rows(1, **{"raw.dipole": [5.0, 6.0]}))
    again.write()
    data = pd.read_parquet(path)
    assert data["raw.forces"].tolist()[:2] == [1.0, 2.0]
    assert data["raw.dipole"].tolist()[2:] == [5.0, 6.0]


def test_a_reader_meanwhile_has_the_whole_old_table(tmp_path):
    path = tmp_path / "t.parquet"
    table = write(path, range(2))
    with path.open("rb") as reader:
        table.append(rows(2))
        table.write()
        assert len(pd.read_parquet(reader)) == 4
    assert len(pd.read_parquet(path)) == 6
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_table(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, range(2))
    left = path.with_name("t.parquet.tmp")
    left.write_bytes(b"PAR1 half of a tab")
    os.utime(left, (1, 1))
    table = Table(path, last_epoch=1)
    assert len(table) == 4
    table.append(rows(2))
    table.write()
    assert len(pd.read_parquet(path)) == 6
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_without_rows_makes_no_file(tmp_path):
    table = Table(tmp_path / "t.parquet", last_epoch=-1)
    table.write()
    assert len(table) == 0
    assert not table.path.exists()
