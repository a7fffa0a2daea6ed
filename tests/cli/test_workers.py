"""Several workers: launchers, Ctrl-C, what dies in the middle, two sweeps, a database."""

from __future__ import annotations

import os
import signal
import time

import pytest
from study_process import SMOKE, Command, check_study, kill, run, statuses, trials, working

TWO = [*SMOKE, "hydra.sweeper.n_jobs=2"]
N_TRIALS, N_EPOCHS = 4, 3  # of smoke
LONG = ["train_schedule.0.end=9", "train_schedule.1.start=10", "train_schedule.1.end=19"]


def has_begun(study):
    """Two workers train, and an epoch is on disk."""
    return len(working(study)) >= 2 and list(study.glob("trials/*/checkpoint.pt"))


def test_two_workers_do_what_was_asked_for(tmp_path, tiny_overrides):
    output = run(tmp_path, *TWO, *tiny_overrides)
    study = tmp_path / "outputs" / "smoke"
    found = check_study(study, n_trials=N_TRIALS, n_epochs=N_EPOCHS)
    assert [trial.user_attrs.get("role") for trial in found[:2]] == ["default", "balanced"]
    ended = [(status["state"], status["error"]) for status in statuses(study)]
    assert ended == [("ended", None)] * 2
    assert output.count("starting 2 workers") == 1
    assert output.count("loss terms") == 1  # the preflight's table
    ends = [line for line in output.splitlines() if "/4 trials, lowest score" in line]
    assert sorted(int(line.split()[1]) for line in ends) == list(range(N_TRIALS))
    assert output.count("best weights, trial") == 1
    assert "Traceback" not in output


def test_the_basic_launcher_works_in_the_process(tmp_path, tiny_overrides):
    output = run(
        tmp_path, *TWO, "hydra/launcher=basic", "hydra.sweeper.n_trials=2", *tiny_overrides
    )
    study = tmp_path / "outputs" / "smoke"
    check_study(study, n_trials=2, n_epochs=N_EPOCHS)
    assert "hydra/launcher=basic runs in this process: 1 worker" in output
    assert not statuses(study)


def test_what_the_workers_refuse_is_told_once(tmp_path, tiny_overrides):
    command = Command(
        tmp_path, *TWO, *tiny_overrides,
        "loss=[energy_per_atom,forces,atomic_multipoles,dipole_per_atom,total_charge,esps,stress]",
    )  # fmt: skip
    with command:
        assert command.wait() == 1, command.output
        command.wait_for_others()
    first, last = command.output.splitlines()
    assert first.startswith("starting 2 workers")
    assert last.startswith("error: stage 0 (stage1): loss term 'stress': its label 'stress' is not")
    assert not (tmp_path / "outputs" / "smoke" / "trials").exists()


@pytest.mark.slow
def test_ctrl_c_stops_all_after_the_epoch_and_the_command_resumes(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    arguments = [*TWO, *tiny_overrides, *LONG]
    with Command(tmp_path, *arguments) as command:
        command.wait_for(lambda: has_begun(study))
        command.interrupt()
        assert command.wait(60) == 130, command.output
        command.wait_for_others()
    assert "stopping after this epoch" in command.output
    assert command.output.splitlines()[-1] == "stopped; run again to resume"
    assert "Traceback" not in command.output
    assert {status["state"] for status in statuses(study)} == {"ended"}
    before = {t.number: len(t.intermediate_values) for t in trials(study)}
    assert 0 < sum(before.values()) < 20 * N_TRIALS
    run(tmp_path, *arguments)
    check_study(study, n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_ctrl_c_twice_stops_all_now(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    with Command(tmp_path, *TWO, *tiny_overrides, *LONG, "train_schedule.1.end=500") as command:
        command.wait_for(lambda: has_begun(study))
        command.interrupt()
        time.sleep(0.01)
        command.interrupt()
        assert command.wait(30) == 130, command.output
        command.wait_for_others(10)
    assert "run again to resume" in command.output
    assert "Traceback" not in command.output


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_a_killed_sweep_leaves_no_workers(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    with Command(tmp_path, *TWO, *tiny_overrides, *LONG) as command:
        command.wait_for(lambda: has_begun(study))
        first = working(study)
        assert kill(first[0])
        command.wait_for(lambda: set(working(study)) > set(first))
        assert "starting 1 workers" in command.output
        command.process.kill()
        command.process.wait()
        command.wait_for_others()
    assert any(not trial.state.is_finished() for trial in trials(study))
    run(tmp_path, *TWO, *tiny_overrides, *LONG)
    check_study(study, n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_a_sweep_whose_workers_are_all_killed_starts_new_ones(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    with Command(tmp_path, *TWO, *tiny_overrides, *LONG) as command:
        command.wait_for(lambda: has_begun(study))
        for pid in working(study):
            assert kill(pid)
        assert command.wait() == 0, command.output
        command.wait_for_others()
    assert len(statuses(study)) == 4
    check_study(study, n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_a_worker_that_is_told_to_go_goes_and_the_others_finish(tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    with Command(tmp_path, *TWO, *tiny_overrides, *LONG) as command:
        command.wait_for(lambda: has_begun(study))
        os.kill(working(study)[0], signal.SIGTERM)
        assert command.wait() == 0, command.output
        command.wait_for_others()
    assert command.output.count("starting") == 1
    assert len(statuses(study)) == 2
    check_study(study, n_trials=N_TRIALS, n_epochs=20)


@pytest.mark.slow
def test_two_sweeps_share_a_study(tmp_path, tiny_overrides):
    arguments = [*TWO, *tiny_overrides, "hydra.sweeper.n_trials=5"]
    with Command(tmp_path, *arguments) as one, Command(tmp_path, *arguments) as two:
        for command in (one, two):
            assert command.wait() == 0, command.output
            command.wait_for_others()
            assert "study smoke: 5 trials" in command.output
            assert "5/5 trials" in command.output
    study = tmp_path / "outputs" / "smoke"
    check_study(study, n_trials=5, n_epochs=N_EPOCHS)
    assert len(list(study.glob("workers/*/sweep.lock"))) == 2


@pytest.mark.slow
def test_a_database_that_goes_away_and_comes_back(postgresql, tmp_path, tiny_overrides):
    study, url = tmp_path / "outputs" / "smoke", postgresql.create("workers")
    arguments = [*TWO, *tiny_overrides, *LONG, f"hydra.sweeper.storage={url}"]
    with Command(tmp_path, *arguments) as command:
        command.wait_for(lambda: has_begun(study))
        assert postgresql.kill_connections() >= 3
        n_epochs = sum(len(trial.intermediate_values) for trial in trials(study, url))
        postgresql.stop()
        time.sleep(3)
        postgresql.start()
        assert command.wait() == 0, command.output
        command.wait_for_others()
    assert n_epochs < 20 * N_TRIALS - 20  # it was in the middle
    assert "connection lost" in command.output
    assert "Traceback" not in command.output
    check_study(study, n_trials=N_TRIALS, n_epochs=20, url=url)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["local", "basic"])
@pytest.mark.parametrize("given", ["in full", "in the environment"])
def test_the_password_of_a_storage_is_nowhere(
    tmp_path, tiny_overrides, postgresql, launcher, given
):
    secret = "s3cr3t%40pw"
    url = postgresql.create(f"{launcher} {given}").replace("@", f":{secret}@")
    storage = {"in full": url, "in the environment": "${oc.env:SWEEP_TEST_URL}"}[given]
    command = Command(
        tmp_path, *TWO, *tiny_overrides, f"hydra/launcher={launcher}",
        "hydra.sweeper.n_trials=2", f"hydra.sweeper.storage='{storage}'",
        env={"SWEEP_TEST_URL": url},
    )  # fmt: skip
    with command:
        assert command.wait() == 0, command.output
        command.wait_for_others()
    check_study(tmp_path / "outputs" / "smoke", n_trials=2, n_epochs=N_EPOCHS, url=url)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".pkl" for path in files) == (launcher == "local")
    assert any(path.name == "hydra.yaml" for path in files)
    for path in files:
        content = path.read_bytes()
        assert b"s3cr3t" not in content, path
