"""From trial folders to the answer of a study."""

import json

import pytest
import yaml
from omegaconf import OmegaConf

from sweep.config.checks import check_config
from sweep.config.stages import resolve_stages
from sweep.errors import DamagedRecordError
from sweep.records import Study, Trial
from sweep.records.weights_file import loss_block
from sweep.report.summary import write_summary

STAGES = [
    {"name": "first", "start": 0, "end": 9, "lr": 0.01,
     "loss": {"forces": {"weight": 100.0}, "esps": {"weight": 1e-05}}},
    {"name": "second", "start": 10, "end": 14, "lr": 0.001,
     "loss": {"forces_huber": {"weight": 1234.5, "huber_delta": 0.02}, "esps": {"weight": 0.0}}},
]  # fmt: skip


def test_a_trial_reads_back(make_trial):
    trial = Trial.read(make_trial(7, factor=2.0))
    assert (trial.number, trial.state, trial.score) == (7, "COMPLETE", 0.4)
    assert trial.errors("valid") == {"energy": 0.003, "forces": 0.1}
    assert trial.errors("test")["forces"] == 0.125
    assert trial.score_on("test") == 0.5
    assert trial.balance.dominant == "forces"


def test_errors_are_of_the_statistic_of_the_objective(make_trial):
    trial = Trial.read(make_trial(0, objective={"metrics": ["forces"], "statistic": "mae"}))
    assert trial.errors("valid") == {"energy": 0.001, "forces": 0.04}


def test_a_trial_without_a_test_set(make_trial):
    trial = Trial.read(make_trial(0, metrics={"valid": {"score": 0.1, "rmse_forces": None}}))
    assert trial.errors("valid") == {}
    assert trial.errors("test") == {}
    assert trial.score_on("test") is None


@pytest.mark.parametrize(
    "content", ["", "{", '{"state": "COMPL', "[]", "5", "null", "{}", '{"state": "COMPLETE"}']
)
def test_a_trial_that_cannot_be_read_is_left_out_and_named(make_trial, tmp_path, content):
    make_trial(0, role="default")
    damaged = make_trial(1)
    (damaged / "trial.json").write_text(content)
    (tmp_path / "trials" / "0002").mkdir()
    with pytest.raises(DamagedRecordError):
        Trial.read(damaged)
    study = Study.read(tmp_path, "s")
    assert [trial.number for trial in study] == [0]
    assert list(study.unreadable) == [damaged, tmp_path / "trials" / "0002"]


def test_bytes_that_are_no_text(make_trial):
    folder = make_trial(0)
    (folder / "trial.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DamagedRecordError, match="not valid JSON"):
        Trial.read(folder)


def test_a_damaged_breakdown_costs_the_balance_only(make_trial, tmp_path):
    folder = make_trial(0, role="default")
    (folder / "breakdown.parquet").write_bytes(b"PAR1 and no more")
    trial = Trial.read(folder)
    assert trial.balance is None
    assert trial.errors("valid")["forces"] == 0.05
    write_summary(Study.read(tmp_path, "s"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["references"]["best"]["balance"] is None


def test_references_of_a_study(study_folder):
    study = Study.read(study_folder, "s")
    assert {role: trial.number for role, trial in study.references.items()} == {
        "default": 0, "balanced": 1, "best": 2,
    }  # fmt: skip
    assert study.states == {"COMPLETE": 3, "PRUNED": 1, "FAILED": 1, "RUNNING": 1}
    assert study.unreadable == {}


def test_the_default_may_be_the_best(make_trial, tmp_path):
    make_trial(0, role="default")
    make_trial(1, role="balanced", factor=1.5)
    references = Study.read(tmp_path, "s").references
    assert references["best"].number == references["default"].number == 0


def test_a_reference_that_is_not_complete_is_none(make_trial, tmp_path):
    make_trial(0, role="default", state="STOPPED")
    make_trial(1, role="balanced", state="FAILED")
    assert Study.read(tmp_path, "s").references == {}


def test_an_empty_study(tmp_path):
    study = Study.read(tmp_path, "s")
    write_summary(study)
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "study": "s", "states": {}, "references": {}, "trials": [],
    }  # fmt: skip
    assert not (tmp_path / "best_loss.yaml").exists()


def test_files_of_the_summary(study_folder):
    write_summary(Study.read(study_folder, "mine"))
    summary = json.loads((study_folder / "summary.json").read_text())
    assert summary["study"] == "mine"
    assert [entry["number"] for entry in summary["trials"]] == list(range(6))
    assert summary["trials"][4]["reason"] == "epoch 0, batch 1: not finite"
    best = summary["references"]["best"]
    assert (best["trial"], best["score"], best["epoch"]) == (2, 0.1, 1)
    assert best["metrics"]["test"]["rmse_forces"] == pytest.approx(0.05 * 0.625)
    assert best["balance"]["shares"]["esps"] == pytest.approx(2 / 11)
    text = (study_folder / "best_loss.yaml").read_text()
    assert text.splitlines()[0] == "# Best weights of study mine: trial 2, score 0.1, seed 0"
    assert yaml.safe_load(text) == best["loss"]


def test_the_block_is_in_the_form_of_mace_scf(make_trial):
    assert loss_block(Trial.read(make_trial(0)).stages) == (
        "loss:\n"
        "  forces: 100.0\n"
        "  esps: 2.0\n"
        "  forces_huber:\n"
        "    weight: 0.5\n"
        "    huber_delta: 0.02\n"
    )


def test_the_block_gives_the_same_weights_when_read_again(make_trial):
    loss = {
        "forces": {"weight": 1e-05},
        "esps": {"weight": 12345678.9},
        "dipole": {"weight": 0.0},
        "fixedpoint_scf_stability": {"weight": 3.0, "smooth": False, "beta": 5.0, "offset": 1.0},
    }
    block = yaml.safe_load(
        loss_block(Trial.read(make_trial(0, stages=[{**STAGES[0], "loss": loss}])).stages)
    )
    schedule = {"0": {"name": "a", "start": 0, "end": 1, "lr": 0.1, "loss": None}}
    (stage,) = resolve_stages(schedule, block["loss"])
    weights = {name: term["weight"] for name, term in loss.items()}
    assert stage.weights == pytest.approx(weights, rel=1e-5)
    assert stage.loss["fixedpoint_scf_stability"] == loss["fixedpoint_scf_stability"]
    for term in block["loss"].values():
        assert isinstance(term, dict) or type(term) is float


def test_stages_that_differ_give_a_schedule(make_trial):
    block = yaml.safe_load(loss_block(Trial.read(make_trial(0, stages=STAGES)).stages))
    assert list(block) == ["train_schedule"]
    schedule = {str(index): stage for index, stage in block["train_schedule"].items()}
    stages = resolve_stages(schedule, {})
    assert [stage.loss for stage in stages] == [stage["loss"] for stage in STAGES]
    assert [(s.name, s.start, s.end, s.lr) for s in stages] == [
        ("first", 0, 9, 0.01), ("second", 10, 14, 0.001),
    ]  # fmt: skip


def test_stages_with_the_same_loss_give_one_block(make_trial):
    stages = [{**stage, "loss": STAGES[0]["loss"]} for stage in STAGES]
    block = yaml.safe_load(loss_block(Trial.read(make_trial(0, stages=stages)).stages))
    assert block == {"loss": {"forces": 100.0, "esps": 1e-05}}


def test_the_block_can_be_pasted_into_a_configuration_of_ours(make_trial, tmp_path):
    """As an experiment of the user's own, on top of the terms that it was searched with."""
    from hydra import compose, initialize_config_dir

    from sweep.config.stages import CONF_DIR
    from sweep.hydra_plugin.registration import register

    register()
    block = loss_block(Trial.read(make_trial(0)).stages)
    terms = "defaults: [override /loss: [forces, esps, forces_huber]]\n"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{terms}{block}")
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "+experiment=mine"])
    (stage,) = check_config(cfg)
    assert stage.weights == {"forces": 100.0, "esps": 2.0, "forces_huber": 0.5}
    assert OmegaConf.select(cfg, "loss.forces_huber.huber_delta") == 0.02
