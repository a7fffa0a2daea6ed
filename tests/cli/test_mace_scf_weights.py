"""The static weights of trial 1 where MACE_SCF trains: by our own training, or by trial 0."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from study_process import Command, kill, run, trials

import sweep
from sweep.records import Trial

STAND_IN = Path(__file__).parents[1] / "services" / "mace_scf_stand_in.py"
FILE = """
name: water
heads:
  LDA: {info_keys: {energy: REF_energy}, arrays_keys: {forces: REF_forces}}
train_file: train.xyz
valid_file: valid.xyz
train_schedule:
  0: {name: one, start: 0, end: 3, loss: {forces: 100.0, energy_per_atom: 10.0}}
"""
MODEL = """
model: ScaleShiftMACE
E0s: average
optimizer: adam
hidden_irreps: 4x0e
radial_MLP: "[8]"
max_ell: 1
correlation: 1
r_max: 3.5
batch_size: 4
"""
KEY = "train_schedule.0.loss.energy_per_atom.weight"


def words(*more: str) -> list[str]:
    return [
        "-m", "trainer=mace_scf", "from_mace_scf=config.yaml", f"trainer.python={sys.executable}",
        f"trainer.script={STAND_IN}", f"{KEY}=tag(log, interval(1e-3, 1e6))",
        "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1", *more,
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path, tiny_data) -> Path:
    for split in ("train", "valid"):
        shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
    return tmp_path


def test_without_a_model_that_we_have_it_balances_the_loss_of_trial_0(folder):
    (folder / "config.yaml").write_text(FILE)
    shown = run(folder, *words())
    assert "equal shares of the loss of trial 0" in shown
    study = sweep.load_study(folder / "outputs" / "water")
    assert study.static.number == 1
    assert study.static.details["weights_from"] == "equal shares of the loss of trial 0"
    steps = study.default.steps()
    raw = {name: np.log(steps[f"raw.{name}"]).mean() for name in ("forces", "energy_per_atom")}
    expected = 100 * np.exp(raw["forces"] - raw["energy_per_atom"])
    assert study.static.weights == {"forces": 100, "energy_per_atom": pytest.approx(expected)}
    assert "no model" in Trial.read(study.folder / "weights").reason
    run(folder, *words("hydra.sweeper.n_trials=4"))  # goes on, and finds them no second time
    assert [t.user_attrs.get("role") for t in trials(study.folder)] == [
        "default",
        "static",
        *2 * [None],
    ]


@pytest.mark.slow
def test_our_own_training_finds_them_and_survives_a_kill(folder):
    (folder / "config.yaml").write_text(FILE + MODEL)
    study = folder / "outputs" / "water"
    with Command(folder, *words()) as command:
        command.wait_for(lambda: (study / "weights" / "checkpoint.pt").exists())
        kill(command.process.pid)
        command.wait()
        command.wait_for_others()
    state = torch.load(study / "weights" / "checkpoint.pt", weights_only=True)
    assert state["epoch"] < 3  # killed on its way
    assert "gradient shares" in run(folder, *words())
    static = sweep.load_study(study).static
    assert static.number == 1
    assert "weights/" in static.details["weights_from"]
    own = Trial.read(study / "weights")
    assert own.steps()["step"].tolist() == list(range(12))
    ratio = own.weights["energy_per_atom"] / own.weights["forces"]
    assert static.weights["energy_per_atom"] == pytest.approx(100 * ratio)
    assert own.weighting == "gradient_shares"
