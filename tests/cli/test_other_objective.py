"""A study that goes on under another objective, and one that takes over another's trainings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweep.records import Study
from sweep.study.storage import names_of, open_journal

pytestmark = pytest.mark.slow  # tests/study/test_rejudging.py and test_reuse.py are fast

SEARCH = [sys.executable, "-m", "sweep", "+experiment=smoke", "-m", "hydra.sweeper.n_jobs=1"]


def run(folder: Path, *arguments: str, n_trials: int = 3) -> tuple[int, str]:
    done = subprocess.run(
        [*SEARCH, f"hydra.sweeper.n_trials={n_trials}", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout


def optuna_trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = open_journal(folder / "study.journal")
    name = names_of(storage, "smoke")[-1]
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def times(folder: Path) -> dict[str, str]:
    """When every trial was trained."""
    return {
        path.parent.name: json.loads(path.read_text())["finished"]
        for path in sorted(folder.glob("trials/*/trial.json"))
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_overrides):
    """Three trials of a search for the score of the experiment, without pruning."""
    folder = tmp_path_factory.mktemp("first")
    options = [*tiny_overrides, "hydra/sweeper/pruner=none"]
    status, output = run(folder, *options)
    assert status == 0, output
    return folder, options


def test_a_study_goes_on_under_another_objective(trained):
    folder, options = trained
    study = folder / "outputs" / "smoke"
    before, trained_at = Study.read(study), times(study)
    other = ["objective.metrics=[forces]", "objective.constraints.dipole=1.5"]

    status, output = run(folder, *options, *other)
    assert status == 0, output
    assert "3 finished trials are judged again, none is trained for it" in output
    assert times(study) == trained_at
    found = Study.read(study)
    assert found.objective.metrics == ("forces",)
    for told, now, then in zip(optuna_trials(study), found, before, strict=True):
        assert now.score == then.errors()["forces"] / then.scales["forces"]
        assert told.values == [now.score]
        assert told.intermediate_values[now.epochs_trained - 1] <= now.score
        limit = then.errors()["dipole"] / before.default.errors()["dipole"] - 1.5
        assert told.constraints == {"dipole": pytest.approx(limit)}
    assert json.loads((study / "summary.json").read_text())["trials"][0]["score"] == found[0].score

    # A fourth trial is trained under the new objective, beside those that were judged again.
    status, output = run(folder, *options, *other, n_trials=4)
    assert status == 0, output
    assert "judged again" not in output
    assert {k: v for k, v in times(study).items() if k < "0003"} == trained_at
    told = optuna_trials(study)
    assert [trial.state for trial in told] == 4 * [TrialState.COMPLETE]
    fourth = Study.read(study)[3]
    assert fourth.score == fourth.errors()["forces"] / fourth.scales["forces"]

    # Two objectives, which a study of Optuna's with one cannot have, and back again.
    status, output = run(folder, *options, "objective.minimize=[energy,forces]", n_trials=4)
    assert status == 0, output
    assert [t.values for t in optuna_trials(study)] == [
        [t.errors()["energy"], t.errors()["forces"]] for t in Study.read(study)
    ]
    status, output = run(folder, *options, n_trials=4)
    assert status == 0, output
    again = Study.read(study)
    assert [t.score for t in again][:3] == [t.score for t in before]
    assert [t.value for t in optuna_trials(study)] == [t.score for t in again]


def test_another_study_takes_over_what_was_trained(trained, tmp_path):
    folder, options = trained
    source = folder / "outputs" / "smoke"
    before = Study.read(source)
    arguments = [
        *options,
        "hydra.sweeper.study_name=second",
        f"hydra.sweeper.reuse={source}",
        "objective.metrics=[energy,forces]",
        "loss.esps.weight=tag(log,interval(1e-6,1e6))",
    ]
    n_trials = len(before)
    status, output = run(tmp_path, *arguments, n_trials=n_trials)
    assert status == 0, output
    second = Study.read(tmp_path / "outputs" / "second")
    reused = {trial.details.get("reused") for trial in second} - {None}
    assert str(source / "trials" / "0000") in reused
    assert str(source / "trials" / "0002") in reused
    for trial in second:
        if trial.details.get("reused") is None:
            continue
        other = before[int(Path(trial.details["reused"]).name)]
        assert trial.errors("test") == other.errors("test")
        assert trial.objective.metrics == ("energy", "forces")
        best = trial.folder / "best.pt"
        assert best.stat().st_ino == (other.folder / "best.pt").stat().st_ino


def test_what_was_trained_on_other_data_is_not_taken_over(trained, tmp_path, tiny_data):
    folder, options = trained
    source = folder / "outputs" / "smoke"
    path = tmp_path / "train.xyz"
    path.write_text((tiny_data / "train.xyz").read_text().replace("0.1", "0.2"))
    status, output = run(
        tmp_path,
        *options,
        f"heads.water_clusters.train_file={path}",
        f"hydra.sweeper.reuse={source}",
        n_trials=1,
    )
    assert status == 0, output
    assert "taken over" not in output
    assert "reused" not in Study.read(tmp_path / "outputs" / "smoke")[0].details


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nowhere", "nowhere: no such folder"), ("empty", "empty: neither a study")],
)
def test_a_folder_that_holds_no_study_is_refused(tmp_path, tiny_overrides, folder, message):
    (tmp_path / "empty").mkdir()
    status, output = run(tmp_path, *tiny_overrides, f"hydra.sweeper.reuse={folder}")
    assert status == 1
    assert f"error: hydra.sweeper.reuse={folder}: {message}" in output
    assert not (tmp_path / "outputs").exists()
