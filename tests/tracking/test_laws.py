"""Laws for every tracker, with the tracker itself and no network; what it holds is read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from losses.balance import shares_of
from sweep.records import State, Trial

STATUS = {
    "wandb": {"COMPLETE": 0, "PRUNED": 0, "FAILED": 1, "STOPPED": 255},
    "mlflow": {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAILED": "FAILED", "STOPPED": "KILLED"},
    "tensorboard": {"COMPLETE": 1, "PRUNED": 1, "FAILED": 2, "STOPPED": None},
}


def test_a_run_holds_what_the_records_hold(tracked, write):
    folder = write(state="COMPLETE")
    follower = tracked.follow()
    follower.begin()
    follower.epoch(4, is_new=True)
    follower.end(State.COMPLETE)
    assert tracked.said == []
    (run,) = tracked.runs().values()
    trial = Trial.read(folder)
    metrics = trial.metrics().set_index("epoch")
    for name in ("score", "loss", "rmse_forces", "mae_energy", "clipped"):
        assert run.epochs(f"valid/{name}") == [0, 1, 2, 3, 4]
        for epoch, value in run.points[f"valid/{name}"]:
            assert value == pytest.approx(metrics[name][epoch])
    for epoch, rows in trial.steps().groupby("epoch"):
        terms = ("forces", "esps", "dipole") if epoch < 3 else ("forces", "esps")
        weighted = {t: (rows[f"raw.{t}"] * rows[f"weight.{t}"]).mean() for t in terms}
        for term, share in shares_of(weighted).items():
            assert dict(run.points[f"share/{term}"])[epoch] == pytest.approx(share)
    assert run.epochs("share/dipole") == run.epochs("weight/dipole") == [0, 1, 2]
    assert [value for _, value in run.points["weight/esps"]] == [0.5] * 5
    assert [value for _, value in run.points["lr"]] == pytest.approx([0.01] * 5)
    ((_, test),) = run.points["test/rmse_forces"]
    assert test == pytest.approx(0.11)
    ((_, score),) = run.points["score"]
    assert score == pytest.approx(trial.score)
    assert run.config["role"] == "default"
    assert float(run.config["seed"]) == 7
    assert float(run.config["loss.esps.weight"]) == 0.5
    if tracked.tracker != "tensorboard":  # there the folder is the group
        assert run.group == "mine"


def test_what_was_stopped_goes_on_with_its_run(tracked, write):
    write(n_epochs=1)
    follower = tracked.follow()
    follower.begin()
    for n_epochs in (1, 2):
        write(n_epochs=n_epochs)
        follower.epoch(n_epochs - 1, is_new=True)
    write(n_epochs=2, state="STOPPED")
    follower.end(State.STOPPED)
    (run,) = tracked.runs().values()
    assert (run.epochs(), run.state) == ([0, 1], "STOPPED")
    follower = tracked.follow()
    follower.begin()
    follower.epoch(1, is_new=False)
    for n_epochs in (3, 4, 5):
        write(n_epochs=n_epochs)
        follower.epoch(n_epochs - 1, is_new=True)
    write(state="COMPLETE")
    follower.end(State.COMPLETE)
    assert tracked.said == []
    (run,) = tracked.runs().values()
    assert run.epochs() == [0, 1, 2, 3, 4]
    assert run.epochs("share/dipole") == [0, 1, 2]
    assert (run.state, run.status) == ("COMPLETE", STATUS[tracked.tracker]["COMPLETE"])


# Offline wandb keeps no account of what it holds.
@pytest.mark.parametrize("tracker", ["mlflow", "tensorboard"])
def test_one_that_was_killed_before_it_noted_an_epoch_has_it_once(tracked, write):
    write(n_epochs=3)
    follower = tracked.follow()
    follower.begin()
    follower.epoch(2, is_new=True)
    (note,) = (tracked.folder / "tracking" / "runs").glob("*/0000.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "epochs": 1}))
    write(state="COMPLETE")
    follower = tracked.follow()
    follower.begin()
    follower.epoch(4, is_new=True)
    follower.end(State.COMPLETE)
    (run,) = tracked.runs().values()
    assert run.epochs() == [0, 1, 2, 3, 4]


def test_one_that_begins_again_is_another_run(tracked, write):
    write(n_epochs=4)
    follower = tracked.follow()
    follower.begin()
    follower.epoch(3, is_new=True)
    write(n_epochs=1)
    follower.epoch(0, is_new=True)
    write(n_epochs=2)
    follower.epoch(1, is_new=True)
    follower.end(State.STOPPED)
    runs = tracked.runs()
    assert {name: run.epochs() for name, run in runs.items()} == {
        "0000": [0, 1, 2, 3], "0000-again1": [0, 1]
    }  # fmt: skip
    assert runs["0000"].state.partition(":")[0] == "STOPPED"
    assert tracked.said == []


def test_the_end_is_shown(tracked, write):
    for number, state in enumerate((State.COMPLETE, State.PRUNED, State.FAILED, State.STOPPED)):
        reason = "epoch 2: not finite" if state is State.FAILED else None
        write(number, n_epochs=2, state=state, reason=reason)
        follower = tracked.follow(number)
        follower.begin()
        follower.epoch(1, is_new=True)
        follower.end(state)
        run = tracked.runs()[f"{number:04d}"]
        assert run.state.partition(":")[0] == state
        assert run.status == STATUS[tracked.tracker][state]
        assert run.epochs() == [0, 1]
    assert tracked.said == []


def test_records_that_were_taken_over_are_a_run(tracked, write):
    write(state="COMPLETE")
    follower = tracked.follow()
    follower.begin()
    follower.end(State.COMPLETE)
    (run,) = tracked.runs().values()
    assert (run.epochs(), run.state) == ([0, 1, 2, 3, 4], "COMPLETE")


def test_a_trial_that_is_finished_again_adds_nothing(tracked, write):
    write(state="COMPLETE")
    for _ in range(2):
        follower = tracked.follow()
        follower.begin()
        follower.epoch(4, is_new=False)
        follower.end(State.COMPLETE)
    (run,) = tracked.runs().values()
    assert (run.epochs(), run.state) == ([0, 1, 2, 3, 4], "COMPLETE")
    assert len(run.points["test/rmse_forces"]) == 1


def test_a_damaged_note_is_another_run(tracked, write):
    write(n_epochs=1)
    follower = tracked.follow()
    follower.begin()
    follower.epoch(0, is_new=True)
    (note,) = (tracked.folder / "tracking" / "runs").glob("*/0000.json")
    note.write_text("{")
    follower = tracked.follow()
    follower.begin()
    follower.end(State.STOPPED)
    assert tracked.said == []


WORKER = """
import sys
from pathlib import Path
from omegaconf import OmegaConf
from sweep.records import State
from sweep.tracking.follower import Tracking
study, options, *numbers = sys.argv[1:]
tracking = Tracking(OmegaConf.create(options), Path(study), study="mine", tell=print)
for name in numbers:
    follower = tracking.follow(Path(study) / "trials" / name, name)
    follower.begin()
    follower.epoch(4, is_new=True)
    follower.end(State.COMPLETE)
"""


def test_workers_do_not_disturb_each_other(tracked, write):
    from omegaconf import OmegaConf
    from tracked_runs import options_of

    for number in range(4):
        write(number, state="COMPLETE")
    options = OmegaConf.to_yaml(options_of(tracked.tracker))
    (tracked.folder / "tracking" / "mlflow.db").unlink(missing_ok=True)  # both make its tables
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tracked.folder), options, *numbers],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for numbers in (("0000", "0002"), ("0001", "0003"))
    ]  # fmt: skip
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
        assert "tracking=" not in output
    runs = tracked.runs()
    assert sorted(runs) == ["0000", "0001", "0002", "0003"]
    for run in runs.values():
        assert (run.epochs(), run.state) == ([0, 1, 2, 3, 4], "COMPLETE")
    if tracked.tracker == "mlflow":
        assert {run.group for run in runs.values()} == {"mine"}
