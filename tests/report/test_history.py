"""The history of chosen trials: shares, gradients, conflicts."""

import numpy as np
import pandas as pd
import pytest

from sweep.errors import InputError
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.history import (
    choose_trials,
    conflict_table,
    evolution_table,
    gradient_table,
)
from sweep.report.comparison.sources import read_sources
from sweep.report.figures.plots import weight_history


def test_which_trials_are_chosen(big):
    complete = big.complete.index
    expected = ["0", "1", *complete[:3], complete[-1], "16"]
    assert big.chosen == list(dict.fromkeys(expected))
    assert choose_trials(big.source, big.trials, ["3", "15", "3"]) == ["3", "15"]


def test_an_unknown_trial_is_named(big):
    with pytest.raises(InputError, match=r"--trials \(mine\): unknown trial '170'"):
        choose_trials(big.source, big.trials, ["170"])


def test_all_single_trials_are_shown(big_study):
    folders = [big_study / "trials" / f"{n:04d}" for n in range(7)]
    assert len(compare(read_sources(folders)[0]).chosen) == 7


def test_the_evolution(big, big_study):
    table = evolution_table(big.source, ["5", "0"], max_bins=5)
    assert table["trial"].unique().tolist() == ["5", "0"]
    data = pd.read_parquet(big_study / "trials/0005/breakdown.parquet")
    rows = table[table["trial"] == "5"].pivot(index="epoch", columns="term", values="share")
    for epoch in range(5):
        of_epoch = data[data["epoch"] == epoch]
        weighted = (of_epoch["raw.forces"] * of_epoch["weight.forces"]).mean()
        assert rows["forces"].iloc[epoch] == pytest.approx(weighted / of_epoch["total"].mean())
    assert rows["dipole"].isna().tolist() == [False] * 3 + [True] * 2


def test_gradient_norms_and_cosines(big, big_study):
    data = pd.read_parquet(big_study / "trials/0005/balance.parquet")
    table = gradient_table(big.source, ["5"])
    assert len(table) == len(data)
    np.testing.assert_allclose(table["weighted_norm"], data["weighted_norm"])
    assert table.groupby("epoch")["norm_share"].sum().tolist() == pytest.approx([1] * 5)
    last = data[data["epoch"] == 4].set_index("term")
    conflicts = conflict_table(big.source, ["5"]).set_index(["term", "other"])
    assert set(conflicts["epoch"]) == {4}
    assert len(conflicts) == 4  # two terms in the last stage
    expected = last.loc["esps", "cosine.forces"]
    assert conflicts.loc[("esps", "forces"), "cosine"] == pytest.approx(expected)


def test_a_term_without_gradient_is_in_no_conflict(make_two_stage_trial):
    weights = {"forces": 1.0, "esps": 1.0, "dipole": 1.0}
    folder = make_two_stage_trial(0, weights, {"forces": 0.1}, n_epochs=2)
    data = pd.read_parquet(folder / "balance.parquet")
    data.loc[data["term"] == "esps", ["raw_norm", "weighted_norm"]] = 0.0
    data.to_parquet(folder / "balance.parquet")
    source = read_sources([folder])[0]
    assert set(conflict_table(source, ["0000"])["term"]) == {"forces", "dipole"}


def test_tables_that_cannot_be_read_leave_nothing(make_trial, tmp_path):
    folder = make_trial(0)
    for name in ("breakdown.parquet", "balance.parquet"):
        (folder / name).write_bytes(b"PAR1")
    source = read_sources([tmp_path])[0]
    for make in (evolution_table, gradient_table, conflict_table):
        assert make(source, ["0"]).empty
    (folder / "balance.parquet").unlink()
    assert gradient_table(source, ["0"]).empty


def test_the_same_matrix_in_several_trials_is_no_result(make_two_stage_trial, tmp_path):
    """They were measured on one and the same model; a copy of a trial does not count."""
    weights = {"forces": 1.0, "esps": 1.0, "dipole": 1.0}
    folders = [make_two_stage_trial(n, weights, {"forces": 0.1}) for n in range(4)]
    make_two_stage_trial(4, weights, {"forces": 0.1}, same_as=3)
    for number in (1, 4):
        source = folders[0] if number == 1 else folders[3]
        target = tmp_path / "mine" / "trials" / f"{number:04d}" / "balance.parquet"
        target.write_bytes((source / "balance.parquet").read_bytes())
    source = read_sources([tmp_path / "mine"])[0]
    assert set(conflict_table(source, list("01234"))["trial"]) == {"2", "3"}


def test_weights_that_moved_are_drawn_beside_the_shares(make_two_stage_trial):
    """On a logarithmic axis; of weights that stood still there is nothing to see."""
    weights = dict.fromkeys(("forces", "esps", "dipole"), 2.0)
    folder = make_two_stage_trial(0, weights, {"forces": 1.0})
    source = read_sources([folder.parents[1]])[0]
    assert weight_history(compare(source), "0") is None
    path = folder / "breakdown.parquet"
    table = pd.read_parquet(path)
    table["weight.forces"] *= 1 + table["step"]
    table.to_parquet(path)
    c = compare(source)
    spec = weight_history(c, "0")
    assert spec["layout"]["yaxis"]["type"] == "log"
    lines = {line["name"]: line["y"] for line in spec["data"]}
    assert lines["forces"][-1] > lines["forces"][0] >= 2.0
    assert set(lines["esps"]) == {2.0}
    drawn = c.evolution.groupby("term")["weight"].max()
    assert drawn["forces"] == pytest.approx(max(lines["forces"]))
