"""Eight workers on a journal and on PostgreSQL, some of them killed: nothing is lost."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import light_worker
import numpy as np
import pandas as pd
import pytest
import study_process
from light_worker import PRUNED_AT, PRUNED_BELOW, STEPS
from optuna.trial import TrialState

N_WORKERS, N_TRIALS, N_EPOCHS, N_KILLS = 8, 40, 4, 8


@pytest.fixture(params=["journal", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "journal":
        return None
    return request.getfixturevalue("postgresql").create("recovery")


def work_and_kill(folder: Path, url: str | None) -> None:
    """Let the workers finish the study; every now and then one of them dies and is replaced."""

    def start() -> subprocess.Popen:
        return light_worker.start(folder, url, n_trials=N_TRIALS, n_epochs=N_EPOCHS, seconds=0.1)

    chance = random.Random(5)
    workers = [start() for _ in range(N_WORKERS)]
    try:
        kills, deadline = 0, time.monotonic() + 150
        while any(worker.poll() is None for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(chance.uniform(0, 0.4))
            # The first dies when there is something to lose.
            alive = [worker for worker in workers if worker.poll() is None]
            if alive and kills < N_KILLS and list(folder.glob("trials/*/checkpoint.json")):
                victim = chance.choice(alive)
                victim.kill()
                victim.wait()
                workers.remove(victim)
                workers.append(start())
                kills += 1
        assert kills == N_KILLS
        assert [worker.returncode for worker in workers] == N_WORKERS * [0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def test_eight_workers_lose_nothing_when_some_are_killed(url, tmp_path):
    folder = tmp_path / "study"
    work_and_kill(folder, url)

    printed = "".join(path.read_text() for path in folder.glob("output/*.txt"))
    assert printed == ""  # no lock error, no lease lost by one who lives
    trials = study_process.trials(folder, url)
    assert [trial.number for trial in trials] == list(range(N_TRIALS))
    for trial in trials:
        x = trial.params["x"]
        pruned = x < PRUNED_BELOW
        assert trial.state == (TrialState.PRUNED if pruned else TrialState.COMPLETE)
        epochs = PRUNED_AT + 1 if pruned else N_EPOCHS
        assert trial.intermediate_values == {epoch: x for epoch in range(epochs)}
        records = folder / "trials" / f"{trial.number:04d}"
        table = pd.read_parquet(records / "breakdown.parquet")
        assert table["step"].tolist() == list(range(STEPS * epochs))
        expected = np.concatenate([light_worker.rows(x, epoch)[:, 0] for epoch in range(epochs)])
        assert table["raw.forces"].tolist() == expected.tolist()
        metrics = pd.read_parquet(records / "metrics.parquet")
        assert metrics["epoch"].tolist() == list(range(epochs))
