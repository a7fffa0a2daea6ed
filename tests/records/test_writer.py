"""The writer of a trial: what ``trial.json`` says at every moment of its life."""

import json
import math

import numpy as np
import pytest

from sweep.errors import LeaseLostError
from sweep.files import read_json
from sweep.records import Trial
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter

ENTRIES = {"number": 3, "role": None, "params": {"loss.forces.weight": 2.0}}
FACTS = {
    "seed": 7,
    "stages": [{"name": "one", "start": 0, "end": 1, "lr": 0.1, "loss": {"forces": {"weight": 2}}}],
    "objective": {"metrics": ["forces"], "statistic": "rmse"},
}
RESULT = Result(State.COMPLETE, 0.5, 1, {"valid": {"score": 0.5, "rmse_forces": 0.1}})


@pytest.fixture
def writer(tmp_path):
    return TrialWriter(tmp_path / "trials" / "0003", ENTRIES)


def content(writer):
    return json.loads((writer.folder / "trial.json").read_text())


def test_from_begin_to_end(writer):
    writer.begin(FACTS)
    running = Trial.read(writer.folder)
    assert (running.state, running.number, running.score) == (State.RUNNING, 3, None)
    assert running.weights == {"forces": 2.0}
    writer.end(RESULT, 2)
    trial = Trial.read(writer.folder)
    assert (trial.state, trial.score, trial.epochs_trained) == (State.COMPLETE, 0.5, 2)
    assert trial.errors() == {"forces": 0.1}
    assert trial.details["seconds"] > 0


def test_a_second_attempt_adds_its_time_and_keeps_the_first_start(writer):
    writer.begin(FACTS)
    writer.end(Result(State.STOPPED, math.nan, -1), 0)
    first = content(writer)
    assert first["score"] is None  # no JSON has NaN
    again = TrialWriter(writer.folder, ENTRIES)
    again.begin(FACTS)
    again.end(RESULT, 2)
    assert content(again)["started"] == first["started"]
    assert content(again)["seconds"] > first["seconds"]


def test_a_failure_says_why(writer):
    writer.begin(FACTS)
    try:
        raise ValueError("energy is not finite")
    except ValueError as error:
        writer.fail(error)
    trial = Trial.read(writer.folder)
    assert (trial.state, trial.reason) == (State.FAILED, "energy is not finite")
    assert "test_a_failure_says_why" in trial.details["traceback"]


def test_what_is_damaged_lies_beside(writer):
    writer.begin(FACTS)
    (writer.folder / "best.pt").write_text("x")
    (writer.folder / "logs").mkdir()
    writer.set_aside("best.pt: damaged")
    assert not (writer.folder / "best.pt").exists()
    aside = sorted(path.name for path in writer.folder.glob("damaged/*/*"))
    assert aside == ["best.pt", "logs"]
    writer.end(RESULT, 2)
    assert content(writer)["restarted"] == "best.pt: damaged"


def test_what_was_trained_with_other_parameters_lies_beside(tmp_path):
    """Optuna lost what it drew, and drew again."""
    first = TrialWriter(tmp_path, {"number": 0, "params": {"a": 1.5, "b": "on"}})
    first.begin({})
    (tmp_path / "checkpoint.pt").touch()
    TrialWriter(tmp_path, {"number": 0, "params": {"b": "on", "a": 1.5}}).begin({})
    assert (tmp_path / "checkpoint.pt").exists()
    TrialWriter(tmp_path, {"number": 0, "params": {"a": 2.5, "b": "on"}}).begin({})
    assert not (tmp_path / "checkpoint.pt").exists()
    assert list(tmp_path.glob("damaged/*/checkpoint.pt"))
    content = read_json(tmp_path / "trial.json")
    assert content["params"] == {"a": 2.5, "b": "on"}
    assert content["restarted"].startswith("trained with other parameters: {")


def test_the_result_of_another_with_the_same_weights(writer):
    writer.begin(FACTS)
    (writer.folder / "best.pt").write_text("model")
    writer.end(RESULT, 2)
    twin = TrialWriter(writer.folder.with_name("0005"), {**ENTRIES, "number": 5})
    assert twin.copy(3) == RESULT
    trial = Trial.read(twin.folder)
    assert (trial.number, trial.same_as, trial.score) == (5, 3, 0.5)
    assert (twin.folder / "best.pt").read_text() == "model"
    assert content(writer)["number"] == 3
    assert twin.copy(4) is None


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.begin(FACTS),
        lambda w: w.set_aside("x"),
        lambda w: w.end(RESULT, 2),
        lambda w: w.fail(ValueError("x")),
        lambda w: w.copy(3),
        lambda w: w.commit(),
    ],
    ids=["begin", "set_aside", "end", "fail", "copy", "commit"],
)
def test_nothing_is_written_without_the_lease(writer, write):
    writer.begin(FACTS)
    writer.open_tables("fit").add_metrics(
        step=1, epoch=0, stage=0, split="valid", metrics={"loss": 1.0, "score": 1.0}
    )
    writer.end(RESULT, 2)

    def lost():
        raise LeaseLostError("taken over")

    other = TrialWriter(writer.folder, ENTRIES, lost)
    other._content = content(writer)
    other._tables = writer._tables
    before = {path: path.stat().st_mtime_ns for path in writer.folder.rglob("*")}
    with pytest.raises(LeaseLostError):
        write(other)
    assert {path: path.stat().st_mtime_ns for path in writer.folder.rglob("*")} == before


def test_weights_that_moved_are_told_by_their_mean(writer):
    """Per stage, where a term was on."""
    stages = [
        {"name": n, "start": i, "end": i, "lr": 0.1, "loss": {"forces": {"weight": 1, "x": 2}}}
        for i, n in enumerate(("one", "two"))
    ]
    writer.begin({**FACTS, "stages": stages, "weighting": {"name": "gradient_shares"}})
    tables = writer.open_tables("fit")
    for epoch, weights in enumerate(([1.0, 4.0], [0.0, 9.0])):
        tables.add_steps(
            first_step=2 * epoch, epoch=epoch, stage=epoch, lr=0.1, times=[0.0, 1.0],
            raw=np.ones((2, 1)), weights={"forces": np.array(weights)}, total=np.ones(2),
            grad_norm=np.ones(2),
        )  # fmt: skip
    writer.commit()
    writer.end(RESULT, 2)
    trial = Trial.read(writer.folder)
    assert trial.weighting == "gradient_shares"
    assert trial.stages[0].loss == {"forces": {"weight": pytest.approx(2.0), "x": 2}}
    assert trial.weights == {"forces": pytest.approx(9.0)}
