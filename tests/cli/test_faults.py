"""The command under faults of its surroundings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "sweep",
            "+experiment=smoke",
            "-m",
            "hydra.sweeper.n_jobs=1",
            *arguments,
        ],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def test_a_terminal_without_the_letters_we_print(tmp_path, tiny_overrides):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(tmp_path, *tiny_overrides, "hydra.sweeper.n_trials=1", **plain)
    assert done.returncode == 0, done.stderr
    assert "meV/?" in done.stdout


def test_a_search_whose_trials_all_fail_says_why_and_leaves_a_summary(tmp_path, tiny_overrides):
    done = run(tmp_path, *tiny_overrides, "train_schedule.0.lr=1e30")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: 3 trials failed, hydra.sweeper.max_failure_rate allows 2 of 4")
    assert "is not finite" in line
    summary = json.loads((tmp_path / "outputs" / "smoke" / "summary.json").read_text())
    assert summary["states"] == {"FAILED": 3}


@pytest.mark.slow
def test_two_workers_share_a_study_and_draw_different_weights(tmp_path, tiny_overrides):
    arguments = [*tiny_overrides, "hydra.sweeper.n_trials=5"]
    command = [
        sys.executable,
        "-m",
        "sweep",
        "+experiment=smoke",
        "-m",
        "hydra.sweeper.n_jobs=1",
        *arguments,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert (worker.returncode, errors) == (0, "")
    folders = sorted((tmp_path / "outputs" / "smoke" / "trials").iterdir())
    records = [json.loads((folder / "trial.json").read_text()) for folder in folders]
    assert [record["number"] for record in records] == [0, 1, 2, 3, 4]
    assert (
        len({json.dumps([stage["loss"] for stage in record["stages"]]) for record in records}) == 5
    )


@pytest.mark.slow
def test_a_training_goes_on_with_its_own_configuration_only(tmp_path, tiny_overrides):
    def once(*more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "sweep", "+experiment=smoke", *tiny_overrides]
        return subprocess.run(
            [*command, "hydra.run.dir=once", *more],
            cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    assert once().returncode == 0
    record = (tmp_path / "once" / "trial.json").read_text()
    done = once("seed=5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "seed: 0 -> 5" in done.stderr
    assert (tmp_path / "once" / "trial.json").read_text() == record
    assert once("trainer.num_threads=2").returncode == 0


@pytest.mark.slow
def test_two_workers_may_end_together(tmp_path, tiny_overrides):
    assert run(tmp_path, *tiny_overrides, "hydra.sweeper.n_trials=1").returncode == 0
    script = (
        "from pathlib import Path; from sweep.report.finish import finish\n"
        "for _ in range(4): finish(Path('outputs/smoke'), 'smoke')"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
