"""Searches beyond weights: terms on or off, several objectives, constraints, confirmation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest

from sweep.study.storage import open_journal


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "sweep", "+experiment=smoke", "-m", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout


def read(folder: Path, number: int) -> dict:
    return json.loads((folder / f"trials/{number:04d}/trial.json").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_overrides):
    """A term on or off, two objectives and a constraint, in five trials, then a confirmation."""
    folder = tmp_path_factory.mktemp("options")
    code, output = run(
        folder, *tiny_overrides, "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=5",
        "search=none", "loss.esps=choice(on,off)", "hydra/sweeper/sampler=random",
        "objective.minimize=[energy,forces]", "objective.constraints.forces=1.5",
        "search.confirm.top=1", "search.confirm.seeds=2", "hydra.sweeper.dashboard=true",
    )  # fmt: skip
    assert code == 0, output
    return folder / "outputs" / "smoke", output


@pytest.fixture(scope="module")
def trials(study):
    """Of the search, as Optuna knows them."""
    storage = open_journal(study[0] / "study.journal")
    return optuna.load_study(study_name="smoke", storage=storage).get_trials()


def test_a_term_that_is_off_has_weight_0(study, trials):
    folder, _ = study
    states = {trial.params["loss.esps"] for trial in trials}
    assert states == {"on", "off"}
    for trial in trials:
        steps = pd.read_parquet(folder / f"trials/{trial.number:04d}/breakdown.parquet")
        assert (steps["weight.esps"] == (1.0 if trial.params["loss.esps"] == "on" else 0)).all()


def test_the_same_weights_are_trained_once(study, trials):
    folder, output = study
    first: dict[str, int] = {}
    for trial in trials:
        content = read(folder, trial.number)
        same = first.setdefault(trial.params["loss.esps"], trial.number)
        assert (content["number"], content["params"]) == (trial.number, trial.params)
        assert content.get("same_as") == (None if same == trial.number else same)
        assert content["score"] == read(folder, same)["score"]
        assert trial.values == trials[same].values
    assert len(first) == 2
    assert "has the weights of trial 0, takes its result" in output


def test_optuna_is_told_every_objective_in_natural_units(study, trials):
    for trial in trials:
        errors = read(study[0], trial.number)["metrics"]["valid"]
        assert trial.values == [errors["rmse_energy"], errors["rmse_forces"]]
        assert sorted(trial.intermediate_values) in ([0, 1, 2], [])  # of the score; none if copied


def test_a_constraint_is_a_multiple_of_the_default(study, trials):
    default = read(study[0], 0)["metrics"]["valid"]["rmse_forces"]
    for trial in trials:
        own = read(study[0], trial.number)["metrics"]["valid"]["rmse_forces"]
        assert trial.user_attrs["feasible"] == (own <= 1.5 * default)
        (value,) = trial.constraints.values()
        assert value == pytest.approx(own / default - 1.5)


def test_the_winner_is_trained_again_with_other_seeds(study):
    folder, output = study
    trainings = [json.loads(path.read_text()) for path in folder.glob("confirm/*/trial.json")]
    pairs = {(content["number"], content["seed"]) for content in trainings}
    (winner,) = {number for number, _ in pairs} - {0}
    assert pairs == {(number, seed) for number in (0, winner) for seed in (1, 2)}
    assert all(content["state"] == "COMPLETE" for content in trainings)
    assert len({content["score"] for content in trainings}) == 4  # each with numbers of its own
    assert "again with seed 2" in output


def test_the_answer_says_whether_the_gain_is_beyond_the_noise(study):
    folder, output = study
    confirmation = json.loads((folder / "confirmation.json").read_text())
    assert [len(candidate["seeds"]) for candidate in confirmation["candidates"]] == [2, 2]
    assert confirmation["candidates"][0]["trial"] == 0
    sentence = confirmation["sentences"][0]
    assert sentence[1:25] in output
    assert "p = " in sentence
    assert "over two other seeds" in sentence


def test_the_answer_shows_the_front_and_the_constraints(study):
    folder, output = study
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["front"]["minimize"] == ["energy", "forces"]
    assert "Pareto front of energy and forces (validation)" in output
    assert "Constraints (forces ≤ 1.5 × default) are kept by" in output


def test_every_trial_has_a_note_and_a_picture(study, trials):
    folder, _ = study
    storage = open_journal(folder / "study.journal")
    opened = optuna.load_study(study_name="smoke", storage=storage)
    attrs = storage.get_study_system_attrs(opened._study_id)
    notes = [text for key, text in attrs.items() if ":note_str:" in key]
    assert len(notes) == len(trials)
    assert all(text.startswith(f"## trial {i}: ") for i, text in enumerate(notes))
    assert len(list((folder / "artifacts").iterdir())) == len(trials)


@pytest.mark.slow
def test_an_attempt_that_was_refused_leaves_nothing_behind(tmp_path, tiny_overrides):
    """Nor does its default become trial 0 of the next."""
    arguments = [*tiny_overrides, "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=1"]
    terms = "loss=[energy_per_atom,forces,atomic_multipoles,dipole_per_atom,total_charge,esps{}]"
    code, output = run(tmp_path, *arguments, terms.format(",fermi_level"), "loss.esps.weight=2")
    assert code == 1
    assert output.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "outputs" / "smoke").exists()
    code, output = run(
        tmp_path, *arguments, terms.format(""), "loss.energy_per_atom.weight=interval(1,9)"
    )
    assert code == 0, output
    content = read(tmp_path / "outputs" / "smoke", 0)
    assert content["params"]["loss.energy_per_atom.weight"] == 1.0
    assert "loss.esps.weight" in content["params"]
