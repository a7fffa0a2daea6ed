"""A study through Slurm: jobs that are killed, preempted, requeued, or out of time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_cluster
from slurm_cluster import Slurm
from study_process import SMOKE, Command, check_study, kill, statuses

pytestmark = pytest.mark.slow

ARGUMENTS = [
    *SMOKE,
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=main",
    "hydra.launcher.cpus_per_task=1",
]
N_TRIALS, N_EPOCHS = 8, 20
LONG = [
    f"hydra.sweeper.n_trials={N_TRIALS}",
    "train_schedule.0.end=9", "train_schedule.1.start=10", f"train_schedule.1.end={N_EPOCHS - 1}",
]  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Slurm]:
    with slurm_cluster.slurm() as running:
        yield running


def jobs_at_work(study: Path) -> dict[str, int]:
    """Slurm's number of every job that trains, and its process."""
    return {s["job"]: s["pid"] for s in statuses(study) if s["state"] == "working"}


def n_epochs_done(study: Path) -> int:
    return sum(
        path.read_text().count("INFO: Epoch") for path in study.glob("trials/*/logs/fit_debug.log")
    )


def finish(command: Command, cluster: Slurm, study: Path, timeout: float) -> None:
    """The sweep returns by itself, and no job stays in the queue."""
    assert command.wait(timeout) == 0, command.output
    check_study(study, n_trials=N_TRIALS, n_epochs=N_EPOCHS)
    deadline = time.monotonic() + 90
    while queue := cluster.call("squeue", "--noheader"):
        assert time.monotonic() < deadline, queue
        time.sleep(1)
    check_study(study, n_trials=N_TRIALS, n_epochs=N_EPOCHS)  # whoever came late changed nothing
    assert "Traceback" not in command.output


def test_jobs_that_die_in_the_middle(cluster, tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    arguments = [*ARGUMENTS, *tiny_overrides, *LONG, "hydra.sweeper.n_jobs=4"]
    with Command(tmp_path, *arguments, env=cluster.env) as command:
        command.wait_for(lambda: len(jobs_at_work(study)) == 4, timeout=300)
        command.wait_for(lambda: n_epochs_done(study) >= 4)
        killed, requeued, preempted, ended = jobs_at_work(study)
        cluster.call("scancel", "--signal=KILL", killed)
        cluster.call("scontrol", "requeue", requeued)
        cluster.call("scancel", "--signal=USR2", preempted)  # submitit puts it back
        cluster.call("scancel", "--signal=TERM", ended)
        n_before = n_epochs_done(study)
        command.wait_for(lambda: n_epochs_done(study) > n_before + 4, timeout=300)
        assert n_before < N_EPOCHS * 3
        finish(command, cluster, study, 400)


def test_a_job_that_was_killed_alone_is_not_waited_for(cluster, tmp_path, tiny_overrides):
    study = tmp_path / "outputs" / "smoke"
    arguments = [*ARGUMENTS, *tiny_overrides, *LONG, "hydra.sweeper.n_jobs=2"]
    with Command(tmp_path, *arguments, env=cluster.env) as command:
        command.wait_for(lambda: len(jobs_at_work(study)) == 2, timeout=300)
        command.wait_for(lambda: n_epochs_done(study) >= 2)
        for pid in jobs_at_work(study).values():
            kill(pid)
        finish(command, cluster, study, 400)
    assert command.output.count("starting 2 workers") == 2


def test_jobs_that_run_out_of_time_go_on(cluster, tmp_path, tiny_overrides):
    """Slurm's own time limit: submitit's signal, a stop after the epoch, the next allocation."""
    study = tmp_path / "outputs" / "smoke"
    arguments = [
        *ARGUMENTS, *tiny_overrides, *LONG, "hydra.sweeper.n_jobs=2",
        "hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60",
        "hydra.launcher.max_num_timeout=9", "train_schedule.1.end=599", "hydra.sweeper.n_trials=2",
    ]  # fmt: skip
    with Command(tmp_path, *arguments, env=cluster.env) as command:
        command.wait_for(lambda: len(jobs_at_work(study)) == 2, timeout=300)
        jobs = set(jobs_at_work(study))
        command.wait_for(lambda: not jobs_at_work(study), timeout=300)  # the time is over
        n_before = n_epochs_done(study)
        command.wait_for(lambda: set(jobs_at_work(study)) == jobs, timeout=300)  # they are back
        command.wait_for(lambda: n_epochs_done(study) > n_before, timeout=300)
        command.interrupt()
        assert command.wait(120) == 130, command.output
    assert command.output.count("starting") == 1
