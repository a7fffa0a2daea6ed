"""Real trainings, of our own and of another program: searched, killed, resumed, in one and two."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from study_process import Command, run, trials
from tracked_runs import OFFLINE, options_of, read_runs

from sweep.config.checks import check_config
from sweep.records import State, Trial
from sweep.records.writer import TrialWriter
from sweep.tracking.follower import Tracking
from sweep.training.factory import make_trainer, read_data
from sweep.training.job import train_trial
from sweep.training.trainer import Decision

PROGRAM = Path(__file__).parents[1] / "services" / "toy_program.py"
N_EPOCHS = 4


def toy(*more: str, options: str = "") -> list[str]:
    """A search whose trials a small program trains."""
    return [
        "trainer=command",
        f"trainer.command='{sys.executable} {PROGRAM} --energy ${{loss.energy.weight}} --forces "
        f"${{loss.forces.weight}} --epochs ${{n_epochs:}} --seed ${{seed}} {options}'",
        "trainer.log=metrics.jsonl", "+trainer.metrics={energy: rmse_e, forces: rmse_f}",
        "+loss={energy: {weight: 1.0}, forces: {weight: 10.0}}",
        "objective.metrics=[energy,forces]",
        f"train_schedule.0.end={N_EPOCHS - 1}", "trainer.grace=1", *more,
    ]  # fmt: skip


SEARCH = ["-m", "loss.forces.weight=tag(log, interval(0.1, 1000))", "hydra.sweeper.study_name=toy"]


def test_a_run_holds_what_the_search_sees_of_an_own_training(compose, tmp_path):
    cfg = compose("train_schedule.0.end=2", "tracking=tensorboard", "weighting=gradient_shares")
    stages = check_config(cfg)
    trainer = make_trainer(cfg, read_data(cfg))
    reports = []

    def train(decide) -> None:
        said: list[str] = []
        tracking = Tracking(cfg.tracking, tmp_path, study=None, tell=said.append)
        entries = {"number": 0, "role": "default", "params": {}}
        follower = tracking.follow(tmp_path, "0000")
        writer = TrialWriter(tmp_path, entries)
        train_trial(trainer, cfg, stages, writer, decide, follower=follower)
        assert said == []

    def two_epochs(report):
        reports.append(report)
        return Decision.STOP if report.epoch == 1 else Decision.CONTINUE

    train(two_epochs)
    (stopped,) = read_runs("tensorboard", tmp_path).values()
    assert stopped.state == "STOPPED"
    train(lambda report: reports.append(report) or Decision.CONTINUE)
    (tracked,) = read_runs("tensorboard", tmp_path).values()
    assert tracked.state == "COMPLETE"
    assert tracked.epochs() == [0, 1, 2]
    for report in reports:
        for name, value in report.metrics.items():
            assert dict(tracked.points[f"valid/{name}"])[report.epoch] == pytest.approx(value)
        for name, value in report.shares.items():
            assert dict(tracked.points[f"share/{name}"])[report.epoch] == pytest.approx(value)
    steps = Trial.read(tmp_path).steps()
    last = steps.groupby("epoch").last()
    for name in stages[0].weights:
        values = [value for _, value in tracked.points[f"weight/{name}"]]
        assert values == pytest.approx(last[f"weight.{name}"].tolist())
    assert [value for _, value in tracked.points["lr"]] == pytest.approx(last["lr"].tolist())
    test = Trial.read(tmp_path).results["test"]
    assert tracked.points["test/rmse_forces"][0][1] == pytest.approx(test["rmse_forces"])


@pytest.mark.slow
@pytest.mark.parametrize("tracker", OFFLINE)
def test_a_search_that_is_killed_goes_on_with_its_runs(tracker, tmp_path):
    options_of(tracker)
    words = [*toy(*SEARCH, options="--seconds 0.4"), *OFFLINE[tracker], "hydra.sweeper.n_jobs=2"]
    study = tmp_path / "outputs" / "toy"
    with Command(tmp_path, *words, "hydra.sweeper.n_trials=4") as command:

        def is_at_work() -> bool:
            notes = study.glob("tracking/runs/*/0001.json")
            return any(json.loads(note.read_text())["epochs"] >= 2 for note in notes)

        command.wait_for(is_at_work)
        command.kill_all()
    output = run(tmp_path, *words, "hydra.sweeper.n_trials=4")
    assert "tracking=" not in output
    runs = read_runs(tracker, study)
    found = {f"{trial.number:04d}": trial for trial in trials(study)}
    for name in found:
        trial = Trial.read(study / "trials" / name)
        epochs = list(range(trial.epochs_trained))
        # A program that cannot go on begins again, which is another run.
        known = [runs[key] for key in sorted(runs) if key.startswith(name)]
        assert (known[-1].epochs(), known[-1].state) == (epochs, trial.state)
        assert {"share/forces", "weight/forces", "valid/rmse_energy"} <= known[-1].points.keys()
        for each in known:
            assert len(set(each.epochs())) == len(each.epochs())


def test_one_training_is_tracked_too_and_its_folder_stays(tmp_path):
    options_of("tensorboard")
    words = [*toy("tracking=tensorboard"), "hydra.run.dir=mine"]
    run(tmp_path, *words)
    (tracked,) = read_runs("tensorboard", tmp_path / "mine").values()
    assert tracked.epochs() == [0, 1, 2, 3]
    assert tracked.state == State.COMPLETE
    # Its tracker is chosen anew each time.
    run(tmp_path, *toy(), "hydra.run.dir=mine")
    run(tmp_path, *words)
    (tracked,) = read_runs("tensorboard", tmp_path / "mine").values()
    assert tracked.epochs() == [0, 1, 2, 3]


def test_a_program_that_fails_is_shown_as_failed(tmp_path):
    options_of("tensorboard")
    options = "--how nan --at 1"
    with Command(
        tmp_path, *toy("tracking=tensorboard", options=options), "hydra.run.dir=mine"
    ) as command:
        assert command.wait() == 1, command.output
    (tracked,) = read_runs("tensorboard", tmp_path / "mine").values()
    assert tracked.epochs() == [0]
    assert tracked.state.startswith("FAILED: epoch 1")
    assert tracked.status == 2


def test_trials_that_are_taken_over_are_runs_of_the_study(tmp_path):
    options_of("tensorboard")
    one_point = ["-m", "loss.forces.weight=choice(10.0)", "hydra.sweeper.study_name=toy"]
    more = ["hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=2", "tracking=tensorboard"]
    output = run(tmp_path, *toy(*one_point, *more))
    assert "takes its result" in output
    runs = read_runs("tensorboard", tmp_path / "outputs" / "toy")
    assert sorted(runs) == ["0000", "0001"]
    for each in runs.values():
        assert (each.epochs(), each.state) == ([0, 1, 2, 3], "COMPLETE")
