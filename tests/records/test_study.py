"""A study in a notebook: its table, its trials, its answer."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import sweep
from losses import WeightedLoss
from sweep.errors import InputError
from sweep.records.frame import trial_frame


def test_the_table_holds_what_the_trials_tell(big_study):
    study = sweep.load_study(big_study)
    table = study.trials
    assert table.index.tolist() == list(range(17))
    for trial in study.complete:
        row = table.loc[trial.number]
        assert row["score"] == trial.score
        assert row["valid.forces"] == trial.errors("valid")["forces"]  # in eV/Å
        assert row["test.energy"] == trial.errors("test")["energy"]
        assert row["weight.forces"] == trial.weights["forces"]
        assert row["share.forces"] == pytest.approx(trial.balance.shares["forces"])
    assert table.loc[study.best.number, ["role", "rank"]].tolist() == ["best", 1]
    assert table.loc[15, "reason"] == "epoch 1, batch 2: forces is not finite"


def test_columns_and_units_are_documented(big_study):
    table = sweep.load_study(big_study).trials
    documented = trial_frame.__doc__
    for column in table.columns:
        name = column.split(".")[0] + "." if "." in column else f"``{column}``"
        assert name in documented, column
    assert table.attrs["units"] == {
        "valid.energy": "eV/atom", "valid.forces": "eV/Å", "valid.esps": "V",
        "test.energy": "eV/atom", "test.forces": "eV/Å", "test.esps": "V", "seconds": "s",
    }  # fmt: skip


def test_steps_of_a_trial(big_study):
    trial = sweep.load_study(big_study)[7]
    steps = trial.steps()
    assert len(steps) == 20
    weighted = sum(
        (steps[f"raw.{name}"] * steps[f"weight.{name}"]).fillna(0.0)
        for name in ("forces", "esps", "dipole")
    )
    pd.testing.assert_series_equal(weighted, steps["total"], check_names=False, rtol=1e-6)
    assert trial.weights == {name: steps[f"weight.{name}"].iloc[-1] for name in trial.loss}


def test_the_best_loss_can_be_trained_with(big_study):
    study = sweep.load_study(big_study)
    loss = WeightedLoss(study.best.loss)
    assert set(loss.names) == set(study.best.weights)


def test_a_study_shows_itself(make_study):
    study = sweep.load_study(make_study("<b>mine"))
    page = study._repr_html_()
    assert "study &lt;b&gt;mine" in page
    assert "17 trials" in page
    assert "valid.forces (eV/Å)" in page
    assert page.index(f"<th>{study.best.number}</th>") < page.index("<th>16</th>")


def test_studies_and_trials_print_as_one_line(make_study):
    study = sweep.load_study(make_study("mine"))
    best = study.best
    assert repr(study) == (
        f"<Study mine: 17 trials (14 complete, 1 failed, 1 pruned, 1 running), best trial "
        f"{best.number}, {study.folder}>"
    )
    assert repr(best) == (f"<Trial {best.number}, complete, score {best.score:.6g}, {best.folder}>")
    assert repr(study[0]).startswith("<Trial 0, default, complete, score ")
    assert ", failed, no score, " in repr(next(t for t in study if t.state == "FAILED"))
    for trial in study:
        assert "\n" not in repr(trial)


def test_a_trial_that_is_not_there(big_study):
    with pytest.raises(InputError, match="has no trial 99; it holds trials 0 to 16"):
        sweep.load_study(big_study)[99]


def test_reading_a_study_needs_no_torch(big_study):
    code = (
        f"import sweep, sys; s = sweep.load_study({str(big_study)!r}); s.trials; s.best.loss; "
        "assert not {'torch', 'optuna', 'matplotlib', 'mace'} & set(sys.modules)"
    )
    root = Path(sweep.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
