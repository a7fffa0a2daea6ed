"""A study in a database that loses its connections all the time."""

from __future__ import annotations

import threading

import optuna
import pytest
from optuna.trial import TrialState
from study_process import trials

from sweep.errors import SweepError
from sweep.study import database
from sweep.study.queue import TrialQueue
from sweep.study.storage import open_study

N_TRIALS, N_EPOCHS = 12, 6


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(database, "_PAUSE_SECONDS", 0.01)


def finish_all(queue: TrialQueue) -> None:
    while (claim := queue.claim(lambda: False)) is not None:
        x = claim.trial.suggest_float("x", 0, 1)
        done = set(queue.trials()[claim.trial.number].intermediate_values)
        for epoch in sorted(set(range(N_EPOCHS)) - done):
            claim.trial.report(x, epoch)
            claim.trial.should_prune()
        claim.trial.set_user_attr("score", x)
        queue.study.tell(claim.trial, x)
        claim.lease.release()


def test_lost_connections_lose_nothing(postgresql, tmp_path, capsys):
    folder, url = tmp_path / "study", postgresql.create("lost")
    study = open_study(folder, "study", storage=url)
    queue = TrialQueue(
        study, folder, optuna.samplers.RandomSampler, n_trials=N_TRIALS, max_failure_rate=0.0
    )
    ended = threading.Event()
    killed = []

    def kill() -> None:
        while not ended.wait(0.05):
            killed.append(postgresql.kill_connections())

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        finish_all(queue)
    finally:
        ended.set()
        killer.join()
        study._storage._backend.engine.dispose()
    assert sum(killed) > 10
    assert "connection lost" in capsys.readouterr().err
    found = trials(folder, url)
    finished = [trial for trial in found if trial.state == TrialState.COMPLETE]
    assert len(finished) == N_TRIALS
    assert all(trial.state.is_finished() for trial in found)
    for trial in finished:
        x = trial.params["x"]
        assert trial.value == trial.user_attrs["score"] == x
        assert trial.intermediate_values == dict.fromkeys(range(N_EPOCHS), x)


def test_a_database_that_does_not_come_back_ends_the_sweep(postgresql, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.3)
    study = open_study(tmp_path, "study", storage=postgresql.create("gone"))
    postgresql.stop()
    try:
        with pytest.raises(SweepError, match=r"no connection for .* run again to go on"):
            study.ask()
    finally:
        postgresql.start()
        study._storage._backend.engine.dispose()
