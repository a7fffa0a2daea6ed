"""The page of several studies, and of studies that say little."""

from __future__ import annotations

import dataclasses
import shutil

from page_reader import Tables, payload, render

from sweep.records import StudyRecord
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.names import SPLITS


def test_several_studies_on_one_page(big, big_study, make_study, tmp_path):
    mine = shutil.copytree(big_study, tmp_path / "a" / "mine")
    other = make_study("other", n_trials=3)
    for folder, weight in ((mine, 1.0), (other, 2.0)):
        record = StudyRecord.read(folder)
        definition = {"weight of dipole": weight, "lr": 0.01}
        dataclasses.replace(record, definition=definition).write(folder)
    folders = [mine, other, mine / "trials" / "0003"]
    comparisons = [compare(source) for source in read_sources(folders)]
    text = render(comparisons)
    rows = Tables(text).rows("study", "weights", "data")
    assert [row["study"][1] for row in rows] == ["mine"] * 4 + ["other"] * 4 + ["single trials"] * 2
    best = big.source.label(big.best)
    for row, split in zip(rows[2:4], ("valid", "test"), strict=True):
        assert (row["weights"][1], row["data"][1]) == ("best", SPLITS[split])
        assert float(row["forces meV/Å"][1]) == big.value(best, f"{split}.forces")
    (row, *others) = Tables(text).rows("key", "mine", "other", "single trials")
    assert row["key"][0] == "weight of dipole"
    assert [row[name][0] for name in ("mine", "other", "single trials")] == ["1.0", "2.0", "?"]
    assert others == []
    data = payload(text)
    scatter = data["figures"]["studies-scatter"]["data"]
    assert [trace["name"] for trace in scatter] == ["mine", "other", "single trials"]
    assert len(scatter[0]["x"]) == len(big.ranked)
    assert {"star", "square"} < set(scatter[0]["marker"]["symbol"])
    assert list(data["studies"]) == ["s0", "s1", "s2"]
    assert {"1_shares.csv", "2_shares.csv", "3_shares.csv"} <= data["csv"].keys()
    ids = [attrs["id"] for _, attrs in Tables(text).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_study_that_stopped_has_no_empty_table(tmp_path, make_trial):
    make_trial(0, state="STOPPED", score=None, metrics={}, role="default")
    (tmp_path / "trials" / "0000" / "metrics.parquet").unlink()
    (tmp_path / "trials" / "0000" / "breakdown.parquet").unlink()
    tables = Tables(render([compare(read_sources([tmp_path])[0])])).tables
    assert all(len(table) > 1 and any(cell[0].strip() for cell in table[1]) for table in tables)
    (tmp_path / "none" / "trials").mkdir(parents=True)
    assert Tables(render([compare(read_sources([tmp_path / "none"])[0])])).tables == []


def test_studies_that_say_little(tmp_path, make_trial):
    """No trial; one that runs; one that left no table."""
    (tmp_path / "none" / "trials").mkdir(parents=True)
    text = render([compare(read_sources([tmp_path / "none"])[0])])
    assert "No trial is complete yet." in text
    make_trial(0, state="RUNNING", score=None, metrics={}, role="default")
    text = render([compare(read_sources([tmp_path])[0])])
    assert "No trial is complete yet." in text
    assert "epoch 2 of 2" in text
    folder = make_trial(1, metrics={}, stages=[], params={})
    for name in ("breakdown", "metrics"):
        (folder / f"{name}.parquet").unlink()
    text = render([compare(read_sources([folder])[0])])
    assert "Use these weights" not in text
