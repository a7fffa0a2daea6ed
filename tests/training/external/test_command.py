"""Trials that a command trains: their records, and everything that can go wrong with a program."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from program_training import go_on, train_in

from sweep.config.checks import check_config
from sweep.errors import InputError, TrainingError
from sweep.records import Trial
from sweep.training.factory import make_trainer
from sweep.training.trainer import Decision

PROGRAM = Path(__file__).parents[2] / "services" / "toy_program.py"
COMMAND = (
    f"{sys.executable} {PROGRAM} --energy ${{loss.energy}} --forces ${{loss.forces.weight}} "
    "--epochs ${n_epochs:} --seed ${seed}"
)
N_EPOCHS = 4
METRICS = "+trainer.metrics={energy: rmse_e, forces: rmse_f}"


@pytest.fixture
def configure(load_config) -> Callable:
    def make(*more: str, options: str = ""):
        return load_config(
            "trainer=command", f"trainer.command='{COMMAND} {options}'",
            "trainer.log=metrics.jsonl", *([] if "metrics={" in "".join(more) else [METRICS]),
            "+loss={energy: 1.0, forces: {weight: 10.0}}", "objective.metrics=[energy,forces]",
            f"train_schedule.0.end={N_EPOCHS - 1}", "trainer.grace=0.5", *more,
        )  # fmt: skip

    return make


@pytest.fixture
def train(configure, tmp_path) -> Callable:
    """Train in ``tmp_path``; returns the trial and the epochs that were reported."""

    def run(*more: str, options: str = "", decide=go_on):
        return train_in(tmp_path, configure(*more, options=options), decide)

    return run


def test_a_trial_has_the_records_of_any_other(train, tmp_path):
    trial, seen = train()
    assert (str(trial.state), trial.epochs_trained, seen) == ("COMPLETE", N_EPOCHS, [0, 1, 2, 3])
    text = (tmp_path / "program" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    told = [line for line in lines if "rmse_f" in line]
    metrics = trial.metrics()
    assert metrics["rmse_forces"].tolist() == [line["rmse_f"] for line in told]
    assert metrics["rmse_energy"].tolist() == [line["rmse_e"] for line in told]
    scores = [math.sqrt(line["rmse_f"] * line["rmse_e"]) for line in told]
    assert metrics["score"].tolist() == pytest.approx(scores)
    assert trial.score == pytest.approx(min(scores))
    steps = trial.steps()
    assert steps["step"].tolist() == list(range(12))
    assert steps["total"].tolist() == [line["total"] for line in lines if "step" in line]
    assert steps["raw.forces"].tolist() == [x["raw"]["forces"] for x in lines if "step" in x]
    assert set(steps["weight.forces"]) == {10.0}
    assert {"lr", "grad_norm"}.isdisjoint(steps)
    shares = trial.balance.shares
    assert sum(shares.values()) == pytest.approx(1)
    assert "gradient norms" in trial.details["not_told"]
    assert "errors on a test set" in trial.details["not_told"]
    assert trial.details["command"][-1] == "0"
    log = (tmp_path / "logs" / "fit_debug.log").read_text()
    assert (log.count("loss breakdown: "), log.count("INFO: Epoch")) == (12, 4)
    assert not (tmp_path / "earlier").exists()


def test_patterns_read_what_it_prints_and_the_test_set(train):
    trial, _ = train(
        "trainer.log=null",
        r"trainer.pattern='Epoch (?P<epoch>\d+): E (?P<e>\S+) meV F (?P<f>\S+)|"
        r"final test energy (?P<test_e>\S+) forces (?P<test_f>\S+)'",
        "+trainer.metrics={energy: {key: e, factor: 0.001}, forces: {key: f, factor: 0.001}}",
    )
    assert trial.epochs_trained == N_EPOCHS
    assert trial.errors("valid")["forces"] == pytest.approx(0.1 * 0.8**3)
    assert trial.errors("test")["energy"] == pytest.approx(0.0005)
    assert trial.score_on("test") is not None
    assert trial.steps().empty
    assert "values of the terms" in trial.details["not_told"]


def test_lines_that_are_written_twice_count_once(train):
    trial, seen = train(options="--how twice")
    assert seen == list(range(N_EPOCHS))
    assert len(trial.metrics()) == N_EPOCHS


def test_its_own_score(train):
    trial, _ = train("+trainer.metrics={score: rmse_f}")
    assert trial.score == pytest.approx(0.1 * 0.8**3)


def test_quantities_that_only_it_knows(train):
    trial, _ = train("+trainer.metrics={gap: rmse_f}", "objective.metrics=[gap]")
    assert trial.metrics()["rmse_gap"].tolist()[-1] == pytest.approx(0.1 * 0.8**3)
    assert trial.score == pytest.approx(0.1 * 0.8**3)


def test_the_score_divides_by_the_spread_of_the_labels(train, tiny_data):
    head = "heads.default"
    trial, _ = train(
        "data=extxyz", f"{head}.train_file={tiny_data}/train.xyz",
        f"{head}.valid_file={tiny_data}/valid.xyz", "+trainer.scales={energy: 0.5}",
    )  # fmt: skip
    scales = trial.scales
    assert scales["energy"] == 0.5
    assert 0.1 < scales["forces"] < 10
    errors = trial.errors()
    expected = math.sqrt(errors["energy"] / 0.5 * errors["forces"] / scales["forces"])
    assert trial.score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("decision", "state"), [(Decision.PRUNE, "PRUNED"), (Decision.STOP, "STOPPED")]
)
@pytest.mark.parametrize("how", ["well", "stubborn", "child"])
def test_it_is_ended_when_told_to(decision, state, how, train, tmp_path):
    def decide(report):
        return decision if report.epoch == 1 else Decision.CONTINUE

    trial, seen = train(options=f"--how {how} --seconds 0.5", decide=decide)
    assert (str(trial.state), seen) == (state, [0, 1])
    assert trial.metrics()["epoch"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "more", "words"),
    [
        ("--how crash", [], ["status 3", "RuntimeError: something is wrong"]),
        ("--how killed", [], ["SIGKILL", "training 4 epochs"]),
        ("--how hang", ["trainer.timeout=2"], ["wrote nothing for", "trainer.timeout=2"]),
        ("--how nan", [], ["epoch 1, step 0: term 'forces' is not finite"]),
        ("--how 'nan error'", [], ["epoch 1", "not finite", "rmse_forces nan"]),
        ("--epochs 0", [], ["told of no epoch"]),
        ("", ["+trainer.metrics={}"], ["told no rmse_energy", "it told rmse_e, rmse_f"]),
    ],
)
def test_what_fails_says_why_and_keeps_what_there_is(options, more, words, train, tmp_path):
    with pytest.raises(TrainingError) as raised:
        train(*more, options=options.replace("'", "\\'"))
    trial = Trial.read(tmp_path)
    assert str(trial.state) == "FAILED"
    for word in words:
        assert word in str(raised.value)
    assert trial.reason == str(raised.value)
    assert "\n" not in trial.reason
    expected = [] if "no " in words[0] else [0]
    assert trial.metrics()["epoch"].tolist() == expected if expected else trial.metrics().empty


def test_a_trial_that_was_stopped_starts_afresh_and_nothing_is_lost(train, tmp_path):
    def decide(report):
        return Decision.STOP if report.epoch == 1 else Decision.CONTINUE

    train(options="--seconds 0.3", decide=decide)
    trial, seen = train()
    assert (str(trial.state), seen) == ("COMPLETE", list(range(N_EPOCHS)))
    (earlier,) = (tmp_path / "earlier").iterdir()
    assert pd.read_parquet(earlier / "metrics.parquet")["epoch"].tolist() == [0, 1]
    assert (earlier / "program" / "metrics.jsonl").exists()


def test_a_trial_that_was_stopped_goes_on_by_its_resume_command(train, tmp_path):
    resume = f"trainer.resume='{COMMAND} --resume'"

    def decide(report):
        return Decision.STOP if report.epoch == 1 else Decision.CONTINUE

    train(resume, options="--seconds 0.6", decide=decide)
    trial, seen = train(resume)
    assert seen[0] == 1  # what is there already is told again
    assert seen[-1] == N_EPOCHS - 1
    assert trial.metrics()["epoch"].tolist() == list(range(N_EPOCHS))
    assert trial.steps()["step"].tolist() == list(range(3 * N_EPOCHS))
    assert not (tmp_path / "earlier").exists()
    whole = [0.1 * 0.8**epoch for epoch in range(N_EPOCHS)]
    assert trial.metrics()["rmse_forces"].tolist() == pytest.approx(whole)


def test_a_trial_that_is_through_is_not_trained_again(train, tmp_path):
    before, _ = train()
    output = (tmp_path / "program" / "output.txt").read_bytes()
    (tmp_path / "trial.json").unlink()
    after, seen = train()
    assert (after.score, after.results, seen) == (before.score, before.results, [])
    assert (tmp_path / "program" / "output.txt").read_bytes() == output


def test_damaged_records_are_set_aside(train, tmp_path):
    train()
    (tmp_path / "metrics.parquet").write_bytes(b"nonsense")
    trial, seen = train()
    assert (str(trial.state), seen) == ("COMPLETE", list(range(N_EPOCHS)))
    assert "damaged" in trial.details["restarted"]


def test_threads_and_gpus_are_told_to_the_program(configure, tmp_path, monkeypatch):
    from sweep.training.external.trainer import environment

    cfg = configure("trainer.num_threads=3", "+trainer.env.MINE=7")
    env = environment(cfg)
    assert (env["OMP_NUM_THREADS"], env["MINE"]) == ("3", "7")
    assert "CUDA_VISIBLE_DEVICES" not in env
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert environment(configure("trainer.device=cuda:1"))["CUDA_VISIBLE_DEVICES"] == "6"
    assert "CUDA_VISIBLE_DEVICES" not in environment(configure("trainer.device=cuda"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["trainer.command=''"], ["trainer.command", "empty"]),
        (["trainer.command=[no_such_program,a]"], ["trainer.command", "no_such_program"]),
        (["trainer.command='\"open'"], ["trainer.command", "quotation"]),
        (["trainer.command='python ${loss.force}'"], ["trainer.command", "loss.force"]),
        (["trainer.command='python ${abspath:none.py}'"], ["no such file", "none.py"]),
        (["+loss.esps.weight=1"], ["loss.esps", "${loss.esps.weight}"]),
        (["trainer.pattern='('"], ["trainer.pattern", "no regular expression"]),
        (["trainer.pattern='a(b)'"], ["trainer.pattern", "no named group"]),
        (["trainer.step_pattern='(?P<total>.)'"], ["trainer.step_pattern", "trainer.pattern"]),
        (["+trainer.metrics={energy: 3}"], ["trainer.metrics.energy", "3"]),
        (["+trainer.scales={energy: 0}"], ["trainer.scales.energy", "above 0"]),
        (["trainer.timeout=0"], ["trainer.timeout", "above 0"]),
        (["+trainer.batch_size=3"], ["trainer.batch_size", "unknown key"]),
        (["weighting=gradient_shares"], ["weighting", "fixed"]),
        (["objective.metrics=['a b']"], ["objective.metrics", "a b"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_before_anything_runs(more, words, configure):
    def check():
        cfg = configure(*more)
        stages = check_config(cfg)
        make_trainer(cfg).check(cfg, stages)

    with pytest.raises(InputError) as raised:
        check()
    text = str(raised.value)
    assert "\n" not in text
    for word in words:
        assert word in text
