"""The tables of trials and shares hold the recorded numbers."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from sweep.quantities import QUANTITIES
from sweep.report.comparison.sources import read_sources
from sweep.report.comparison.trial_table import (
    metric_keys,
    parameter_keys,
    share_table,
    trained_with,
    trial_table,
)
from sweep.report.page.tables import balance_table


def test_the_errors_are_those_of_the_evaluations(big, big_study):
    for label in big.complete.index:
        evaluations = pd.read_parquet(big_study / "trials" / f"{int(label):04d}/metrics.parquet")
        last = evaluations[evaluations["split"] == "valid"].iloc[-1]
        for key in ("energy", "forces", "esps"):
            expected = last[f"rmse_{key}"] * QUANTITIES[key].display_factor
            assert big.value(label, f"valid.{key}") == pytest.approx(expected)
            assert big.value(label, f"test.{key}") == pytest.approx(1.1 * expected)
        assert big.value(label, "valid.score") == pytest.approx(last["score"])


def test_the_order_and_the_roles(big):
    table = big.trials
    assert table["state"].tolist() == ["COMPLETE"] * 14 + ["RUNNING", "PRUNED", "FAILED"]
    scores = table["valid.score"][:14]
    assert scores.is_monotonic_increasing
    assert table["rank"].tolist()[:14] == list(range(1, 15))
    assert table["rank"].isna().tolist()[14:] == [True] * 3
    assert table.loc["0", "role"] == "default"
    assert table.loc["1", "role"] == "balanced"
    assert table.iloc[0]["role"] == "best"


def test_changes_are_relative_to_the_default_and_only_of_complete_trials(big):
    for label in big.complete.index:
        for name in ("valid.forces", "test.energy", "valid.score"):
            expected = big.value(label, name) / big.value("0", name) - 1
            assert big.value(label, f"{name}.change") == pytest.approx(expected)
    assert big.value("0", "valid.forces.change") == 0
    pruned = big.trials.index[big.trials["state"] == "PRUNED"][0]
    assert math.isnan(big.value(pruned, "valid.forces.change"))
    assert big.value(pruned, "valid.forces") == pytest.approx(100)


def test_a_running_trial_shows_its_last_evaluation(big):
    row = big.rows["16"]
    assert (row["state"], row["epochs"], row["planned_epochs"]) == ("RUNNING", 2, 5)
    assert row["valid.forces"] == pytest.approx(100)
    assert math.isnan(row["test.forces"])


def test_a_failed_trial_shows_its_reason(big):
    assert big.rows["15"]["reason"] == "epoch 1, batch 2: forces is not finite"


def test_balance_columns(big, big_study):
    for label, row in big.rows.items():
        data = pd.read_parquet(big_study / "trials" / f"{int(label):04d}/breakdown.parquet")
        last = data[data["epoch"] == data["epoch"].max()].dropna(axis="columns", how="all")
        names = [name.removeprefix("raw.") for name in last if name.startswith("raw.")]
        weighted = pd.Series({n: (last[f"raw.{n}"] * last[f"weight.{n}"]).mean() for n in names})
        shares = weighted / weighted.sum()
        assert row["dominant"] == shares.idxmax()
        assert row["dominant_share"] == pytest.approx(shares.max())
        entropy = -(shares * np.log(shares)).sum()
        assert row["effective_terms"] == pytest.approx(math.exp(entropy))
        assert row["n_terms"] == len(names)


def test_the_shares_of_every_stage(big, big_study):
    table = share_table(big.source, ["3"])
    assert table["stage_name"].unique().tolist() == ["first", "second"]
    assert set(table[table["stage"] == 0]["term"]) == {"forces", "esps", "dipole"}
    assert set(table[table["stage"] == 1]["term"]) == {"forces", "esps"}  # its loss lacks one
    assert table.groupby("stage")["share"].sum().tolist() == pytest.approx([1, 1])
    data = pd.read_parquet(big_study / "trials/0003/breakdown.parquet")
    first = data[data["epoch"] == 2]
    row = table[(table["stage"] == 0) & (table["term"] == "dipole")].iloc[0]
    assert row["epoch"] == 2
    assert row["raw"] == pytest.approx(first["raw.dipole"].mean())
    assert row["weight"] == first["weight.dipole"].iloc[0]


def test_the_errors_are_of_the_statistic_of_the_objective(make_trial, tmp_path):
    make_trial(0, objective={"metrics": ["forces"], "statistic": "mae"})
    table = trial_table(read_sources([tmp_path])[0])
    assert table.loc["0", "valid.forces"] == pytest.approx(40)  # meV/Å


def test_keys(big):
    assert metric_keys(big.trials) == ["score", "energy", "forces", "esps"]
    assert parameter_keys(big.trials) == [f"loss.{n}.weight" for n in ("forces", "esps", "dipole")]


def test_a_study_without_a_trial(tmp_path):
    (tmp_path / "trials").mkdir()
    (source,) = read_sources([tmp_path])
    table = trial_table(source)
    assert table.empty
    assert metric_keys(table) == parameter_keys(table) == []
    assert share_table(source, []).empty


def test_damaged_tables_cost_only_what_they_hold(make_trial, tmp_path):
    folder = make_trial(0, role="default")
    (folder / "breakdown.parquet").write_bytes(b"PAR1")
    (make_trial(1, state="RUNNING", score=None, metrics={}) / "metrics.parquet").write_bytes(b"")
    table = trial_table(read_sources([tmp_path])[0])
    assert table.loc["0", "valid.forces"] == pytest.approx(50)
    assert "breakdown.parquet: damaged" in table.loc["0", "reason"]
    assert np.isnan(table.loc["1", "valid.forces"])


def test_a_weight_of_zero_is_no_starved_term(make_two_stage_trial):
    folder = make_two_stage_trial(
        0, {"forces": 1.0, "esps": 0.0, "dipole": 1.0}, {"forces": 0.1}, n_epochs=2, role="default"
    )
    table = trial_table(read_sources([folder.parents[1]])[0])
    assert table.loc["0", "starved"] == ""
    assert table.loc["0", "n_terms"] == 2


def test_null_metrics_are_left_out(make_trial, tmp_path):
    folder = make_trial(0)
    content = json.loads((folder / "trial.json").read_text())
    content["metrics"]["valid"]["rmse_forces"] = None
    (folder / "trial.json").write_text(json.dumps(content))
    table = trial_table(read_sources([tmp_path])[0])
    assert "valid.forces" not in table
    assert "test.forces" in table


KEYS = (
    "loss.forces.weight", "train_schedule.1.loss.forces", "train_schedule.9.loss.forces",
    "loss.other.weight", "weighting.shares.forces", "train_schedule.0.lr", "loss.forces",
)  # fmt: skip


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ({"name": "fixed"}, [3.0, 3.0, None, None, None, "rate", None]),
        ({"name": "gradient_shares", "shares": {"forces": 2.0}},
         ["moves", "moves", None, None, 2.0, "rate", None]),
        ({"name": "gradient_shares"}, ["moves", "moves", None, None, None, "rate", None]),
    ],
)  # fmt: skip
def test_what_trials_outside_the_search_space_were_trained_with(study, weighting, expected):
    c = study(({"forces": 3.0}, {"forces": 0.1}, {"weighting": weighting}))
    trial = c.source.study[0]
    found = [trained_with(trial, key) for key in KEYS]
    assert found == [trial.stages[0].lr if v == "rate" else v for v in expected]


def test_the_page_shows_what_they_had(study):
    searched = {"params": {"loss.forces.weight": 5.0, "trainer.clip_grad": 7.0}}
    c = study(
        ({"forces": 5.0}, {"forces": 0.1}, searched),
        ({"forces": 2.0}, {"forces": 0.2},
         {"role": "balanced", "params": {}, "weighting": {"name": "gradient_shares"}}),
        ({"forces": 3.0}, {"forces": 0.3}, {"role": "static", "params": {}}),
    )  # fmt: skip
    table = balance_table(c)
    titles = [column.title for column in table.columns]
    first = titles.index("forces")
    assert titles[first + 1] == "trainer.clip_grad"
    shown = {row[0].text: [cell.text for cell in row[first : first + 2]] for row in table.rows}
    assert shown == {"0": ["5.00", "7.00"], "1": ["moves", "-"], "2": ["3.00", "-"]}
    assert not any("nan" in (cell.text, cell.value) for row in table.rows for cell in row)
