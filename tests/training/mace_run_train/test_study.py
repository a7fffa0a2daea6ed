"""A user's search in ``mace_run_train``, from the command line to the winning flags."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from study_process import Command
from tracked_runs import read_runs

import sweep
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.hydra_plugin.registration import register
from sweep.records.writer import TrialWriter
from sweep.study.spec import without_hydra
from sweep.training.factory import make_trainer
from sweep.training.job import train_trial
from sweep.training.mace_run_train.command import expand
from sweep.training.trainer import Decision

from .conftest import MODEL, STRESS, link_data

CONFIG = {
    "name": "boxes", "train_file": "boxes_train.xyz", "valid_file": "boxes_valid.xyz",
    "test_file": "boxes_test.xyz", "model": "ScaleShiftMACE", "E0s": "average", "batch_size": 3,
    "valid_batch_size": 4, "lr": 0.01, "loss": "stress", "max_num_epochs": 2, "ema": True,
    **dict(word.removeprefix("--").split("=") for word in MODEL),
}  # fmt: skip
ENV = {"PYTHONPATH": str(Path(__file__).parents[3])}
STUDY = ["trainer=mace_run_train", "search=auto", "hydra.sweeper.n_jobs=1"]


@pytest.fixture
def folder(mace_data: Path, tmp_path: Path) -> Path:
    """Where a user starts: data and a YAML file that works by hand."""
    link_data(mace_data, tmp_path)
    (tmp_path / "mace.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def search(folder: Path, *words: str, status: int = 0) -> str:
    with Command(folder, *STUDY, *words, "-m", env=ENV) as command:
        assert command.wait(600) == status, command.output[-4000:]
        command.wait_for_others()
        return command.output


@pytest.mark.slow
def test_a_search_with_gradient_shares(folder):
    """Weights of the flags are trial 0; in trial 1 they move; records and flags are there."""
    output = search(
        folder, "trainer.config=mace.yaml", "weighting=gradient_shares",
        "weighting.interval=2", "trainer.balance_interval=1", "hydra.sweeper.n_trials=2",
        "tracking=tensorboard",
    )  # fmt: skip
    assert " parameters are trained; measured: energy, forces, stress" in output
    study = sweep.load_study(folder / "outputs" / "boxes")
    assert [t.state for t in study.all] == ["COMPLETE", "COMPLETE"]
    assert (study[0].params, study[0].weighting) == ({}, "fixed")
    moved = study[1]
    assert moved.params == {
        "weighting.shares.energy_per_atom": 1.0, "weighting.shares.stress": 1.0,
    }  # fmt: skip
    steps = moved.steps()
    assert len(steps) == 6
    assert steps["weight.forces"].nunique() > 1
    assert {"raw.energy_per_atom", "raw.forces", "raw.stress", "grad_norm", "lr"} <= set(steps)
    for split in ("valid", "test"):
        assert set(moved.errors(split)) == {"energy", "forces", "stress"}
    content = json.loads((moved.folder / "trial.json").read_text())
    assert content["not_told"] == []
    run = read_runs("tensorboard", study.folder)["0001"]
    assert (run.state, run.epochs("lr")) == ("COMPLETE", [0, 1])
    last = steps.groupby("epoch")["weight.forces"].last()
    assert [value for _, value in run.points["weight/forces"]] == pytest.approx(last.tolist())
    assert content["stages"][0]["loss"]["stress"]["weight"] == pytest.approx(
        float(steps["weight.stress"].map(float).pipe(lambda w: (w.prod()) ** (1 / len(w))))
    )
    assert len(pd.read_parquet(moved.folder / "balance.parquet")) == 2 * 3
    assert (moved.folder / "program" / "boxes.model").exists()
    from sweep.export.__main__ import main

    script = folder / "best.sh"
    assert main([str(study.folder), "--format", "mace_cli", "--out", str(script)]) == 0
    assert "--config=mace.yaml" in script.read_text()
    assert "--stress_weight=" in script.read_text()
    # Again: nothing is trained twice, and with other flags it is another study.
    before = (moved.folder / "trial.json").read_text()
    words = ["weighting=gradient_shares", "weighting.interval=2",
             "trainer.balance_interval=1", "hydra.sweeper.n_trials=2"]  # fmt: skip
    search(folder, "trainer.config=mace.yaml", *words)
    assert (moved.folder / "trial.json").read_text() == before
    (folder / "mace.yaml").write_text(yaml.safe_dump({**CONFIG, "batch_size": 2}))
    output = search(folder, "trainer.config=mace.yaml", *words, status=1)
    assert "trainer.contents.config" in output


@pytest.mark.slow
def test_kills_change_nothing(folder):
    """The search and, with it, all its processes are killed at the worst times, then it goes on."""
    args = " ".join(word.replace("boxes_", str(folder / "boxes_")) for word in STRESS)
    words = [
        f"trainer.args={args} --max_num_epochs=4 --ema", "weighting=gradient_shares",
        "hydra.sweeper.n_trials=1",
    ]  # fmt: skip
    search(folder / "whole", *words)
    whole = sweep.load_study(folder / "whole" / "outputs" / "boxes")[0]
    cut = folder / "cut"
    events = cut / "outputs" / "boxes" / "trials" / "0000" / "program" / "events.jsonl"
    for epoch, number in ((1, signal.SIGKILL), (2, signal.SIGINT), (3, signal.SIGKILL)):
        line = f'"epoch":{epoch},"step"'
        with Command(cut, *STUDY, *words, "-m", env=ENV) as command:
            command.wait_for(lambda line=line: events.exists() and line in events.read_text(), 300)
            if number == signal.SIGKILL:
                command.process.kill()
            else:
                command.interrupt()
            command.wait()
            command.wait_for_others(90)  # the program ends by itself
    search(cut, *words)
    found = sweep.load_study(cut / "outputs" / "boxes")[0]
    for name in ("breakdown", "metrics", "balance"):
        pair = [pd.read_parquet(t.folder / f"{name}.parquet") for t in (whole, found)]
        pd.testing.assert_frame_equal(*pair, rtol=1e-13 if name == "metrics" else 0)
    assert found.score == whole.score


def test_a_pruned_trial_ends_its_program(folder, monkeypatch):
    monkeypatch.chdir(folder)
    register()
    words = expand(["trainer=mace_run_train", "trainer.config=mace.yaml"])
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = without_hydra(compose("config", words))
    stages, trainer = check_config(cfg), make_trainer(cfg)
    trial = folder / "trial"
    seen = []

    def prune(report):
        seen.append(report)
        return Decision.PRUNE

    result = train_trial(trainer, cfg, stages, TrialWriter(trial, {"number": 0}), prune)
    assert (result.state, result.epoch) == ("PRUNED", 0)
    (report,) = seen
    assert report.metrics == result.metrics["valid"]
    assert sum(report.shares.values()) == pytest.approx(1.0)
    mark = str(trial / "program").encode()
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert not any(mark in command for command in commands)


@pytest.mark.slow
def test_fine_tuning_with_a_constraint_on_the_replay(folder):
    """A model trained here is fine-tuned with searched weights; it may not forget more."""
    search(folder, "trainer.config=mace.yaml", "hydra.sweeper.n_trials=1")
    model = folder / "outputs" / "boxes" / "trials" / "0000" / "program" / "boxes.model"
    args = (
        f"--name=tuned --foundation_model={model} --multiheads_finetuning=True "
        "--pt_train_file=boxes_train.xyz --pt_valid_file=boxes_valid.xyz --E0s=foundation "
        "--train_file=other_train.xyz --valid_file=other_valid.xyz --batch_size=3 "
        "--valid_batch_size=4 --max_num_epochs=2"
    )
    search(
        folder, f"trainer.args={args}", "objective.constraints.replay=1.05",
        "hydra.sweeper.n_trials=2",
    )  # fmt: skip
    study = sweep.load_study(folder / "outputs" / "tuned")
    assert [t.state for t in study.all] == ["COMPLETE", "COMPLETE"]
    for trial in study.all:
        assert {"energy", "forces", "stress", "replay"} <= trial.errors().keys()
    content = json.loads((study[0].folder / "trial.json").read_text())
    assert list(content["stages"][0]["loss"]) == [
        "energy_per_atom_huber", "forces_huber", "stress_huber"
    ]  # fmt: skip
    assert content["stages"][0]["lr"] == 1e-4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs your flags"),
        (["trainer.config=nowhere.yaml"], "trainer.config: no such file: nowhere.yaml"),
        (["trainer.args=--name=x --foo=1"], "unrecognized arguments: --foo=1"),
        (["trainer.args=--name=x --train_file=gone.xyz"], "train_file: no such file: gone.xyz"),
        (["trainer.args=--name=x --loss=huber"], "--loss=huber is not made of terms"),
        (["trainer.args=--name=x --distributed"], "--distributed cannot be used in a trial"),
        (["trainer.config=mace.yaml", "trainer.losses=our"], "unknown value 'our'"),
        (["trainer.config=mace.yaml", "objective.epoch=last"], "keeps its best epochs"),
        (["trainer.config=mace.yaml", "+trainer.flags.lrr=1"], "unknown flag of mace_run_train"),
        (
            ["trainer.config=mace.yaml", "trainer.losses=mace", "+loss.dipole.weight=1"],
            "--loss=stress has no term 'dipole'",
        ),
    ],
)
def test_what_is_wrong_is_said_at_once(folder, words, message):
    output = search(folder, *words, status=1)
    assert message in output
    assert "Traceback" not in output
    assert not (folder / "outputs" / "boxes").exists()
