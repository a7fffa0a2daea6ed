"""The command as a user runs it: a search, its answer, resuming, Ctrl-C and SIGKILL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from sweep.study.storage import open_journal

# One worker, in the process itself; test_workers.py is about several.
COMMAND = [sys.executable, "-m", "sweep", "+experiment=smoke", "hydra.sweeper.n_jobs=1"]
N_TRIALS, N_EPOCHS, N_STEPS = 4, 3, 9  # of a trial of smoke on the tiny data


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(folder, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def trials(study: Path) -> list[optuna.trial.FrozenTrial]:
    storage = open_journal(study / "study.journal")
    return optuna.load_study(study_name=None, storage=storage).get_trials()


def check_study(study: Path, *, n_trials: int, n_epochs: int, steps_per_epoch: int = 3) -> None:
    """Exactly the trials that were asked for, each with gapless records."""
    found = trials(study)
    finished = [t for t in found if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(finished) == n_trials
    assert {t.state for t in found} <= {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in finished:
        folder = study / "trials" / f"{trial.number:04d}"
        content = json.loads((folder / "trial.json").read_text())
        assert content["state"] == trial.state.name
        assert content["params"] == trial.params
        epochs = content["epochs_trained"]
        assert (epochs == n_epochs) == (trial.state == TrialState.COMPLETE)
        assert sorted(trial.intermediate_values) == list(range(epochs))
        steps = pd.read_parquet(folder / "breakdown.parquet")
        assert steps["step"].tolist() == list(range(epochs * steps_per_epoch))
        assert steps["epoch"].value_counts().tolist() == [steps_per_epoch] * epochs
        metrics = pd.read_parquet(folder / "metrics.parquet")
        assert metrics.query("split == 'valid'")["epoch"].tolist() == list(range(epochs))
        log = (folder / "logs" / "fit_debug.log").read_text().splitlines()
        assert sum("loss breakdown" in line for line in log) == epochs * steps_per_epoch
        assert sum("INFO: Epoch" in line for line in log) == epochs
        assert {p.name for p in (folder / ".hydra").iterdir()} == {
            "config.yaml", "overrides.yaml", "hydra.yaml",
        }  # fmt: skip
        if trial.state == TrialState.COMPLETE:
            assert content["score"] == trial.value
            assert len(metrics.query("split == 'test'")) == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_overrides):
    """A finished study of the smoke experiment and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    code, output = run(folder, "-m", *tiny_overrides)
    assert code == 0, output
    return folder, output


def test_a_search_answers_how_much_better(finished):
    folder, output = finished
    study = folder / "outputs" / "smoke"
    check_study(study, n_trials=N_TRIALS, n_epochs=N_EPOCHS)
    roles = [trial.user_attrs.get("role") for trial in trials(study)]
    assert roles == ["default", "balanced", "static", None]
    assert trials(study)[0].params["loss.esps.weight"] == 1.0
    summary = json.loads((study / "summary.json").read_text())
    assert summary["states"]["COMPLETE"] >= 2
    scores = {t["number"]: t["score"] for t in summary["trials"] if t["state"] == "COMPLETE"}
    best = summary["references"]["best"]
    assert best["score"] == min(scores.values()) == scores[best["trial"]]
    for reference in summary["references"].values():
        assert set(reference["metrics"]) == {"valid", "test"}
        assert sum(reference["balance"]["shares"].values()) == pytest.approx(1)
    for quantity in ("energy", "forces", "multipoles", "dipole", "ESP"):
        assert quantity in output
    for line in ("validation", "test", "default", "balanced", "static", "best", "effective terms"):
        assert line in output
    assert str(study.relative_to(folder)) in output
    assert (study / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_weights_are_those_of_the_best_trial(finished):
    folder, output = finished
    study = folder / "outputs" / "smoke"
    written = yaml.safe_load((study / "best_loss.yaml").read_text())
    best = min((t for t in trials(study) if t.value is not None and t.state == TrialState.COMPLETE),
               key=lambda t: t.value)  # fmt: skip
    content = json.loads((study / "trials" / f"{best.number:04d}" / "trial.json").read_text())
    for index, stage in enumerate(content["stages"]):
        # Stages of their own are written where the weights moved.
        block = written["loss"] if "loss" in written else written["train_schedule"][index]["loss"]
        assert block == {name: pytest.approx(term["weight"], rel=1e-5)
                         for name, term in stage["loss"].items()}  # fmt: skip
        assert all(isinstance(weight, float) for weight in block.values())
        for name, weight in block.items():
            assert f"{name}: {weight}" in output
    for key, value in best.params.items():
        assert block[key.split(".")[1]] == pytest.approx(value, rel=1e-5)


def test_progress_in_a_pipe_is_plain_lines(finished):
    _, output = finished
    assert "\x1b" not in output
    assert "trial 0: default weights" in output
    assert "epoch 3/3" in output
    assert "shares: " in output
    assert "4/4 trials, lowest score" in output


def test_the_same_command_again_only_repeats_the_answer(finished, tiny_overrides):
    folder, output = finished
    study = folder / "outputs" / "smoke"
    before = {path: path.stat().st_mtime_ns for path in study.glob("trials/*/*")}
    code, again = run(folder, "-m", *tiny_overrides)
    assert code == 0
    assert again.strip() in output
    assert {path: path.stat().st_mtime_ns for path in study.glob("trials/*/*")} == before


def test_more_trials_go_on_with_the_same_study(finished, tiny_overrides):
    folder, _ = finished
    code, output = run(folder, "-m", *tiny_overrides, "hydra.sweeper.n_trials=5")
    assert code == 0, output
    check_study(folder / "outputs" / "smoke", n_trials=5, n_epochs=N_EPOCHS)


def test_one_training(tmp_path, tiny_overrides):
    code, output = run(tmp_path, *tiny_overrides, "hydra.run.dir=outputs/once")
    assert code == 0, output
    folder = tmp_path / "outputs" / "once"
    assert len(pd.read_parquet(folder / "breakdown.parquet")) == N_STEPS
    assert json.loads((folder / "trial.json").read_text())["state"] == "COMPLETE"
    assert (folder / ".hydra" / "config.yaml").exists()
    for name in ("best.pt", "checkpoint.pt", "metrics.parquet", "balance.parquet"):
        assert (folder / name).exists()
    assert "effective terms" in output


LONG = ["train_schedule.0.end=9", "train_schedule.1.start=10", "train_schedule.1.end=19"]


def wait_for_epochs(study: Path, process: subprocess.Popen) -> None:
    """Until the first epoch of any trial is on disk."""
    deadline = time.monotonic() + 120
    while not list(study.glob("trials/*/checkpoint.pt")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_stops_after_the_epoch_and_the_command_resumes(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    process = start(tmp_path, "-m", *tiny_overrides, *LONG)
    wait_for_epochs(study, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "stopping after this epoch" in output
    assert output.splitlines()[-1] == "stopped; run again to resume"
    assert "Traceback" not in output
    code, output = run(tmp_path, "-m", *tiny_overrides, *LONG)
    assert code == 0, output
    check_study(study, n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_ctrl_c_twice_stops_now(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    process = start(tmp_path, "-m", *tiny_overrides, *LONG, "train_schedule.1.end=500")
    wait_for_epochs(study, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "run again to resume" in output
    assert "Traceback" not in output


def kill_until_done(folder: Path, arguments: list[str], *, kills: int, seed: int) -> None:
    study = folder / "outputs" / "smoke"
    delays = random.Random(seed)
    for _ in range(kills):
        process = start(folder, "-m", *arguments)
        if not list(study.glob("trials/*/checkpoint.pt")):
            wait_for_epochs(study, process)
        else:
            time.sleep(4)  # importing torch
        time.sleep(delays.uniform(0.0, 3.0))
        # a power failure, and a terminal or tmux that is closed
        process.send_signal(delays.choice([signal.SIGKILL, signal.SIGHUP]))
        process.communicate()
    code, output = run(folder, "-m", *arguments)
    assert code == 0, output


@pytest.mark.slow
def test_sigkill_loses_nothing(tmp_path, tiny_overrides):
    kill_until_done(tmp_path, [*tiny_overrides, *LONG], kills=3, seed=0)
    check_study(tmp_path / "outputs" / "smoke", n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_many_sigkills_lose_nothing_and_change_no_number(tmp_path, tiny_overrides):
    arguments = [*tiny_overrides, *LONG, "hydra/sweeper/pruner=none", "hydra.sweeper.n_trials=8"]
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    kill_until_done(tmp_path / "killed", arguments, kills=15, seed=1)
    check_study(tmp_path / "killed" / "outputs" / "smoke", n_trials=8, n_epochs=20)
    code, output = run(tmp_path / "whole", "-m", *arguments)
    assert code == 0, output
    for number in range(2):  # the weights of the later ones depend on where the sampler resumed
        tables = [
            pd.read_parquet(
                tmp_path / name / "outputs" / "smoke" / "trials" / f"{number:04d}"
                / "breakdown.parquet"
            )
            for name in ("killed", "whole")
        ]  # fmt: skip
        pd.testing.assert_frame_equal(*tables)
