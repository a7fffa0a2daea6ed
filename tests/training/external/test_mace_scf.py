"""Trials that MACE_SCF trains: its file in, its two logs out, with all their quirks."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from program_training import go_on, train_in
from tracked_runs import options_of, read_runs

from sweep.config.checks import check_config
from sweep.errors import InputError, TrainingError
from sweep.mace_scf.command import expand
from sweep.mace_scf.program import translate_for_program
from sweep.records import Trial
from sweep.training.external.events import Evaluation, Step
from sweep.training.external.mace_scf_log import MaceScfLog
from sweep.training.factory import make_trainer
from sweep.training.trainer import Decision

SCRIPT = Path(__file__).parents[2] / "services" / "mace_scf_stand_in.py"
FILE = """
model: ScaleShiftMACE
name: my run
seed: 7
heads: "{'LDA': {'info_keys': {'energy': 'REF_energy', 'dipole': 'REF_dipole'},
  'arrays_keys': {'forces': 'REF_forces', 'atomic_multipoles': 'REF_multipoles'}}}"
train_file: train.xyz
valid_file: valid.xyz
E0s: "{1: -13.6, 8: -430.0}"
work_dir: /somewhere
restart_latest: True
a_key_of_a_newer_version: "[1, 2]"
field-feature-widths: "[1.0, 2.0]"
field_feature_norms: "None"
wandb_log_hypers: [lr, batch_size]
clip_grad: 15.0
log_on_test_sets: true
train_schedule:
  0: {name: one, start: 0, end: 1, lr: 0.01, loss: {forces: 100.0, energy_per_atom: 1.0}}
  1:
    name: two
    start: 2
    end: 3
    my_lr: 0.5
    loss: {forces: 100.0, energy_per_atom: 10.0, atomic_multipoles: 5.0,
           forces_huber: {weight: 2.0, huber_delta: 0.3}}
"""


@pytest.fixture
def folder(tmp_path, tiny_data, monkeypatch) -> Path:
    for split in ("train", "valid"):
        shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
    (tmp_path / "config.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configure(folder, load_config) -> Callable:
    def make(*more: str, odd: str = ""):
        if odd:
            more = (*more, f"+trainer.set.stand_in={{{odd}}}")
        words = expand(["trainer=mace_scf", "from_mace_scf=config.yaml"])
        return load_config(
            *words, f"trainer.python={sys.executable}", f"trainer.script={SCRIPT}",
            "trainer.grace=1", "~train_schedule.1.loss.forces_huber", *more,
        )  # fmt: skip

    return make


@pytest.fixture
def train(configure, folder) -> Callable:
    def run(*more: str, odd: str = "", decide=go_on):
        return train_in(folder / "trial", configure(*more, odd=odd), decide)

    return run


def lines(folder: Path) -> list[dict]:
    (path,) = (folder / "trial" / "program" / "results").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trial_has_breakdown_errors_and_score(train, folder):
    trial, seen = train()
    assert (str(trial.state), seen) == ("COMPLETE", [0, 1, 2, 3])
    told = [line for line in lines(folder) if line["mode"] == "eval"][2::2]  # each stands twice
    metrics = trial.metrics().query("split == 'valid'")
    for ours, theirs in (
        ("rmse_energy", "rmse_e_per_atom"), ("rmse_forces", "rmse_f"),
        ("rmse_atomic_multipoles", "rmse_dma"), ("mae_dipole", "mae_mu"), ("loss", "loss"),
    ):  # fmt: skip
        assert metrics[ours].tolist() == [line[theirs] for line in told]
    steps = trial.steps()
    opt = [line for line in lines(folder) if line["mode"] == "opt"]
    assert steps["total"].tolist() == [line["loss"] for line in opt]
    assert steps["grad_norm"].tolist() == [12.0, 16.0, 20.0] * 4
    assert steps["stage"].tolist() == 6 * [0] + 6 * [1]
    assert metrics["clipped"].tolist() == pytest.approx(4 * [2 / 3])  # clip_grad: 15
    # Training batches only: those of the validation have smaller values.
    assert steps["raw.forces"].tolist() == pytest.approx(
        [(1 + 0.1 * i) * (0.1 * 0.8**epoch) ** 2 for epoch in range(4) for i in range(3)]
    )
    assert steps["raw.atomic_multipoles"].notna().tolist() == 6 * [False] + 6 * [True]
    weighted = sum(steps[f"raw.{n}"].fillna(0) * steps[f"weight.{n}"].fillna(0)
                   for n in ("forces", "energy_per_atom", "atomic_multipoles"))  # fmt: skip
    assert weighted.tolist() == pytest.approx(steps["total"].tolist())
    assert trial.results["test"]["rmse_forces"] == pytest.approx(
        1.1 * trial.results["valid"]["rmse_forces"]
    )
    assert trial.details["scales"].keys() >= {"energy", "forces", "atomic_multipoles"}
    assert trial.details["not_told"] == ["learning rates", "gradients of the terms"]
    assert trial.details["clip_grad"] == 15.0


def test_a_stage_that_ends_early_by_patience_leaves_epochs_out(train):
    trial, seen = train(odd="not_trained: [1]")  # the next stage begins where it is planned to
    assert (str(trial.state), seen) == ("COMPLETE", [0, 2, 3])
    assert trial.steps().groupby("epoch").size().to_dict() == {0: 3, 2: 3, 3: 3}
    assert trial.steps()["stage"].tolist() == 3 * [0] + 6 * [1]


def test_epochs_without_evaluation_are_in_the_breakdown(train):
    trial, seen = train("+trainer.set.eval_interval=2")
    assert (str(trial.state), seen) == ("COMPLETE", [0, 2])
    assert trial.steps()["epoch"].unique().tolist() == [0, 1, 2]
    assert trial.metrics().query("split == 'valid'")["epoch"].tolist() == [0, 2]


def test_several_test_sets_are_told_apart(train, folder):
    trial, _ = train(odd="test_sets: [water, ions]")
    valid = trial.errors("valid")
    sets = trial.errors_by("config_type", "test")
    for name, factor in (("water", 1.1), ("ions", 2.1)):
        assert sets[name][1]["forces"] == pytest.approx(factor * valid["forces"])
    assert trial.errors("test") == {}
    assert "errors on all test sets together (water, ions)" in trial.details["not_told"]
    assert trial.score_on("test") is None


def test_a_run_of_a_tracker_has_what_it_tells(train, folder):
    options_of("tensorboard")
    trial, _ = train("tracking=tensorboard")
    (run,) = read_runs("tensorboard", folder / "trial").values()
    assert (run.state, run.epochs()) == ("COMPLETE", [0, 1, 2, 3])
    assert run.epochs("share/forces") == run.epochs("weight/forces") == [0, 1, 2, 3]
    assert run.epochs("weight/atomic_multipoles") == [2, 3]
    assert "lr" not in run.points  # which it does not tell
    test = trial.results["test"]["rmse_forces"]
    assert run.points["test/rmse_forces"][0][1] == pytest.approx(test)


def test_its_file_is_the_users_with_the_weights_of_the_trial(train, folder):
    train(
        "train_schedule.1.loss.energy_per_atom.weight=33", "train_schedule.1.end=2", "seed=3",
        "train_schedule.0.loss.energy_per_atom.weight=0", "+trainer.set.r_max=4.5",
        "+trainer.set.radial_MLP=[32,32]",
    )  # fmt: skip
    found = yaml.safe_load((folder / "trial" / "program" / "config.yaml").read_text())
    assert found["train_schedule"] == {
        0: {"name": "one", "start": 0, "end": 1, "lr": 0.01, "loss": {"forces": 100.0}},
        1: {"name": "two", "start": 2, "end": 2, "my_lr": 0.5,
            "loss": {"forces": 100.0, "energy_per_atom": 33.0, "atomic_multipoles": 5.0}},
    }  # fmt: skip
    # As they were written: MACE_SCF's parser takes a list as text, and "None" is no missing key.
    assert found["E0s"] == "{1: -13.6, 8: -430.0}"
    assert found["a_key_of_a_newer_version"] == "[1, 2]"
    assert (found["field-feature-widths"], found["field_feature_norms"]) == ("[1.0, 2.0]", "None")
    assert (found["radial_MLP"], found["wandb_log_hypers"]) == ("[32, 32]", ["lr", "batch_size"])
    assert (found["name"], found["seed"], found["device"]) == ("my_run", 3, "cpu")
    assert (found["r_max"], found["clip_grad"]) == (4.5, 15.0)
    assert found["train_file"] == str(folder / "train.xyz")
    assert {"work_dir", "restart_latest"}.isdisjoint(found)


def test_its_file_is_read_by_the_parser_of_mace(configure, folder):
    from mace.tools import build_default_arg_parser

    from sweep.training.external.mace_scf import _file

    given = ['atomic_numbers: "[1, 8]"', "hidden_irreps: 16x0e + 16x1o", "ema: True", "lr: 1e-2"]
    cfg = FILE.replace('a_key_of_a_newer_version: "[1, 2]"', "\n".join(given))
    (folder / "config.yaml").write_text(cfg.replace("field-feature-widths", "radial_MLP"))
    cfg = configure("+trainer.set.compute_stress=true")
    (folder / "trial.yaml").write_text(_file(cfg, check_config(cfg)))
    parser = build_default_arg_parser()
    for name in ("train_schedule", "valid_set_seed", "log_on_test_sets"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args([f"--config={folder / 'trial.yaml'}"])
    assert (args.atomic_numbers, args.radial_MLP) == ("[1, 8]", "[1.0, 2.0]")
    assert (args.hidden_irreps, args.ema, args.lr) == ("16x0e + 16x1o", True, 0.01)
    assert (args.compute_stress, args.wandb_log_hypers) == (True, ["lr", "batch_size"])
    schedule = ast.literal_eval(args.train_schedule)
    assert schedule[1]["loss"] == {
        "forces": 100.0,
        "energy_per_atom": 10.0,
        "atomic_multipoles": 5.0,
    }


def test_flags_beside_the_file_are_keys_of_it(folder, load_config):
    from sweep.training.external.mace_scf import _file

    flags = (
        "--config config.yaml --r_max 6.0 \\\n    --clip_grad=3 --ema --model LocalSplitCharges "
        "--field-feature-widths '[1.5, 3.0]' --mean -3.8 --wandb-watch off --distributed "
        "--wandb_log_hypers lr r_max --name other --work_dir /elsewhere --restart_latest"
    )
    words = expand(["trainer=mace_scf", "from_mace_scf=config.yaml", f"trainer.args={flags}"])
    assert not any(word.startswith("trainer.args") for word in words)
    cfg = load_config(*words, f"trainer.python={sys.executable}", f"trainer.script={SCRIPT}",
                      "~train_schedule.1.loss.forces_huber")  # fmt: skip
    found = yaml.safe_load(_file(cfg, check_config(cfg)))
    assert found["field-feature-widths"] == "[1.5, 3.0]"
    assert found.items() >= {
        "r_max": 6.0, "clip_grad": 3, "ema": True, "model": "LocalSplitCharges", "mean": -3.8,
        "wandb-watch": "off", "wandb_log_hypers": ["lr", "r_max"], "name": "other",
        "field_feature_norms": "None",
    }.items()  # fmt: skip
    assert {"config", "work_dir", "distributed", "restart_latest"}.isdisjoint(found)
    assert make_trainer(cfg).facts(cfg)["clip_grad"] == 3.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("python run_train.py --r_max 5", "'python' is neither a flag nor a value"),
        ("--name 'a", "trainer.args: No closing quotation"),
    ],
)
def test_flags_that_cannot_be_read(folder, flags, message):
    with pytest.raises(InputError, match=message):
        expand(["trainer=mace_scf", "from_mace_scf=config.yaml", f"trainer.args={flags}"])


def test_options_of_terms_stay_as_they_are(configure):
    cfg = configure("+train_schedule.1.loss.forces_huber={weight: 2.0, huber_delta: 0.4}")
    from sweep.training.external.mace_scf import _file

    found = yaml.safe_load(_file(cfg, check_config(cfg)))["train_schedule"][1]["loss"]
    assert found["forces_huber"] == {"weight": 2.0, "huber_delta": 0.4}
    assert found["forces"] == 100.0


@pytest.mark.parametrize(
    ("model", "term", "switch"),
    [
        ("FixedPoint", "esps", "return_electrostatic_potentials"),
        ("ScaleShiftMACE", "stress", "compute_stress"),
    ],
)
def test_switches_that_the_terms_need_are_turned_on(model, term, switch, configure):
    from sweep.training.external.mace_scf import _file

    cfg = configure(f"+train_schedule.1.loss.{term}=1.0", f"+trainer.set.model={model}")
    found = yaml.safe_load(_file(cfg, check_config(cfg)))
    assert found[switch] is True
    without = yaml.safe_load(_file(configure(), check_config(configure())))
    assert switch not in without


def test_it_is_ended_when_told_to_and_starts_afresh(train, folder):
    def decide(report):
        return Decision.STOP if report.epoch == 1 else Decision.CONTINUE

    trial, seen = train(odd="seconds: 0.5", decide=decide)
    assert (str(trial.state), seen) == ("STOPPED", [0, 1])
    trial, seen = train()
    assert (str(trial.state), seen) == ("COMPLETE", [0, 1, 2, 3])
    assert trial.steps()["step"].tolist() == list(range(12))


@pytest.mark.parametrize(
    ("odd", "more", "words"),
    [
        ("how: crash", [], ["status 1", "RuntimeError: mat1 and mat2"]),
        ("how: killed", [], ["SIGKILL"]),
        ("how: hang", ["trainer.timeout=3"], ["wrote nothing for"]),
        ("how: bad loss", [], ["epoch 1, step 0", "not finite"]),
        ("how: nan error", [], ["epoch 1", "rmse_forces nan"]),
    ],
)
def test_what_fails_says_why(odd, more, words, train, folder):
    with pytest.raises(TrainingError) as raised:
        train(*more, odd=odd)
    for word in words:
        assert word in str(raised.value)
    assert Trial.read(folder / "trial").metrics()["epoch"].tolist() == [0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["trainer.python=/no/python"], ["trainer.python", "/no/python", "No such file"]),
        (["trainer.python=/bin/true"], ["trainer.python", "no interpreter"]),
        (["trainer.script=none.py"], ["trainer.script", "none.py"]),
        (["+train_schedule.1.loss.esps=1.0", "+trainer.set.model=LocalCharges"],
         ["train_schedule.1.loss.esps", "LocalCharges", "~train_schedule.1.loss.esps"]),
        (["objective.metrics=[esps]"], ["objective.metrics", "esps", "energy"]),
        (["weighting=loss_shares"], ["weighting", "mace_scf"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_before_anything_runs(more, words, configure):
    def check():
        cfg = configure(*more)
        stages = check_config(cfg)
        make_trainer(cfg).check(cfg, stages)

    with pytest.raises(InputError) as raised:
        check()
    for word in words:
        assert word in str(raised.value)


def test_labels_that_we_cannot_read_are_no_error(configure):
    (Path.cwd() / "train.xyz").write_text("no extxyz at all")
    cfg = configure("+trainer.scales.forces=2.0")
    trainer = make_trainer(cfg)
    trainer.check(cfg, check_config(cfg))
    assert trainer.facts(cfg)["scales"] == {"forces": 2.0}


def test_what_has_no_part_in_the_score_is_said(capsys):
    text = FILE.replace("energy_per_atom: 1.0}", "energy_per_atom: 1.0, esps: 3.0}")
    found = translate_for_program(text.replace("{'LDA':", "{'PBE': {}, 'LDA':"), "f")
    said = {entry[0] for entry in found.remarks.entries}
    assert said == {"work_dir", "restart_latest", "objective.metrics", "heads"}
    assert "esps" not in found.overlay["objective"]["metrics"]
    assert found.overlay["seed"] == 7


def test_a_breakdown_that_is_missing_or_rounded(tmp_path):
    results, log = tmp_path / "r", tmp_path / "l"
    source = MaceScfLog(results, log)
    results.write_text('{"loss": 3.00004, "mode": "opt", "epoch": 0, "opt_step": 0}\n')
    (first,) = source.read()
    assert first == Step(0, 0, total=3.00004)
    stamp = "2026-11-25 22:38:29.410 DEBUG: loss breakdown:"
    log.write_text(f"{stamp} a: 7.0, b: 1.0, \n{stamp} a: 2.0, b: 1.0, \n{stamp} broken: x, \n")
    with results.open("a") as file:
        file.write('{"loss": 3.00004, "mode": "opt", "epoch": 0, "opt_step": 1}\nnonsense\n')
        file.write('{"loss": 1, "rmse_f": 2, "mode": "eval", "epoch": null}\n')
        file.write('{"loss": 1, "rmse_f": 2, "mode": "eval", "epoch": 0}\n')
    second, evaluation = source.read()
    assert second.weighted == {"a": 2.0, "b": 1.0}
    assert second.time is not None
    assert evaluation == Evaluation(0, "valid", {"loss": 1.0, "rmse_f": 2.0})
