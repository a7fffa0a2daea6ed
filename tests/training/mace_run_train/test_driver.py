"""The driver in the real ``mace_run_train``: the same training, and exact to the bit when cut."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from .conftest import LOSS, MODEL, SHARES, STRESS, events, link_data, of_kind, run, start


def results(folder: Path) -> list[dict]:
    (path,) = (folder / "results").glob("*_train.txt")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_is_the_training_of_mace(drive, mace_data, tmp_path):
    """Losses of all steps, errors of all epochs and the trained parameters are those of mace."""
    flags = [*STRESS, "--max_num_epochs=3", "--ema", "--save_all_checkpoints"]
    found = drive("ours", flags, balance_interval=2)
    stock = run(
        [
            sys.executable,
            "-m",
            "mace.cli.run_train",
            *flags,
            "--work_dir=stock",
            "--seed=1",
            "--plot=False",
        ],
        tmp_path,
    )
    assert stock.wait(300) == 0
    theirs, ours = results(tmp_path / "stock"), results(tmp_path / "ours")
    for key, mode in (
        ("loss", "opt"), ("loss", "eval"), ("rmse_e_per_atom", "eval"), ("rmse_f", "eval"),
        ("rmse_stress", "eval"),
    ):  # fmt: skip
        pair = [
            np.array([line[key] for line in lines if line["mode"] == mode])
            for lines in (theirs, ours)
        ]
        assert len(pair[0]) == {"opt": 9, "eval": 4}[mode]
        np.testing.assert_allclose(pair[1], pair[0], rtol=1e-12)
    steps = of_kind(found, "step")
    assert [(step["epoch"], step["step"]) for step in steps] == [
        (epoch, step) for epoch in range(3) for step in range(3)
    ]
    for step, line in zip(steps, [e for e in ours if e["mode"] == "opt"], strict=True):
        assert np.dot(step["raw"], step["weight"]) == pytest.approx(line["loss"], rel=1e-14)
        assert step["weight"] == [1.0, 100.0, 1.0]
        assert step["norm"] > 0
    for epoch, line in zip(of_kind(found, "epoch"), ours[1 + 3 :: 4], strict=True):
        metrics = epoch["metrics"]
        assert metrics["rmse_energy"] == pytest.approx(line["rmse_e_per_atom"], rel=1e-12)
        assert metrics["rmse_forces"] == pytest.approx(line["rmse_f"], rel=1e-12)
    (test,) = of_kind(found, "test")
    assert test["metrics"]["score"] > 0
    assert [e["epoch"] for e in of_kind(found, "balance")] == [0, 2]
    pair = [
        torch.load(tmp_path / side / "checkpoints" / "boxes_run-1_epoch-2.pt", weights_only=False)
        for side in ("ours", "stock")
    ]
    for key, value in pair[0]["model"].items():
        torch.testing.assert_close(value, pair[1]["model"][key], rtol=1e-9, atol=1e-12)
    # Who opens the model needs nothing of ours.
    assert b"sweep" not in (tmp_path / "ours" / "boxes.model").read_bytes()


def wait_for(folder: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    """Wait for a step of an epoch."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        path = folder / "events.jsonl"
        if path.exists() and f'"epoch":{epoch},"step"' in path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"epoch {epoch} did not begin")


@pytest.mark.slow
def test_cut_anywhere_it_is_the_same_training(drive, mace_data, tmp_path):
    """Two stages, averages, weights that move: ended by SIGTERM, SIGKILL, SIGTERM, bit for bit."""
    flags = [*STRESS, "--max_num_epochs=8", "--ema", "--swa", "--start_swa=5", "--swa_lr=0.005"]
    stages = [LOSS, {**LOSS, "energy_per_atom": {"weight": 10.0}}]
    control = {"losses": stages, "weighting": SHARES, "balance_interval": 3}
    whole = drive("whole", flags, **control)
    for epoch, number in ((2, signal.SIGTERM), (4, signal.SIGKILL), (6, signal.SIGTERM)):
        process = start("cut", flags, tmp_path, **control)
        wait_for(tmp_path / "cut", epoch, process)
        process.send_signal(number)
        assert process.wait(60) == (143 if number == signal.SIGTERM else -number)
    cut = drive("cut", flags, **control)
    for kind, key in (("step", "step"), ("epoch", "epoch"), ("balance", "epoch")):
        last = {(e["epoch"], e[key]): e for e in of_kind(cut, kind)}  # the later of two wins
        assert list(last.values()) == of_kind(whole, kind)
    assert of_kind(cut, "test")[0]["epoch"] == of_kind(whole, "test")[0]["epoch"]
    assert of_kind(cut, "test")[0]["metrics"] == pytest.approx(of_kind(whole, "test")[0]["metrics"])
    for name in ("boxes.model", "boxes_stagetwo.model"):
        pair = [torch.load(tmp_path / f / name, weights_only=False) for f in ("whole", "cut")]
        for key, value in pair[0].state_dict().items():
            assert torch.equal(value, pair[1].state_dict()[key]), key


@pytest.mark.slow
def test_stops_at_the_next_batch_and_goes_on(drive, mace_data, tmp_path):
    link_data(mace_data, tmp_path)
    flags = [*STRESS, "--max_num_epochs=3"]
    process = start("cut", flags, tmp_path, weighting=SHARES)
    wait_for(tmp_path / "cut", 1, process)
    process.terminate()
    assert process.wait(60) == 143
    before = of_kind(events(tmp_path / "cut"), "epoch")
    assert [e["epoch"] for e in before] == [0]
    found = drive("cut", flags, weighting=SHARES)
    assert [e["epoch"] for e in of_kind(found, "ready")] == [0, 1]
    assert [e["epoch"] for e in of_kind(found, "epoch")] == [0, 1, 2]
    assert of_kind(found, "end")


@pytest.mark.slow
def test_patience_ends_a_training(drive):
    """Stock ``--patience`` says so and goes on."""
    flags = [*STRESS, "--max_num_epochs=8", "--patience=2", "--lr=1e-12"]
    found = drive("patient", [f for f in flags if f != "--lr=0.01"])
    scores = [e["metrics"]["score"] for e in of_kind(found, "epoch")]
    assert len(scores) < 8
    assert min(scores) not in scores[-2:]
    assert of_kind(found, "end")


@pytest.mark.slow
def test_its_own_loss_with_its_flags(drive):
    found = drive("theirs", [*STRESS, "--max_num_epochs=1"], own=False)
    for step in of_kind(found, "step"):
        assert np.dot(step["raw"], step["weight"]) == pytest.approx(step["total"], rel=1e-12)


@pytest.mark.slow
def test_lbfgs(drive):
    flags = [*STRESS, "--max_num_epochs=2", "--lbfgs"]
    found = drive("lbfgs", flags)
    steps = of_kind(found, "step")
    assert [(s["epoch"], s["step"], s["norm"]) for s in steps] == [(0, 0, None), (1, 0, None)]
    assert steps[1]["total"] < steps[0]["total"]
    (error,) = of_kind(drive("refused", flags, status=1, weighting=SHARES), "error")
    assert "must not move" in error["message"]


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({"metrics": {"energy": 1.0, "dipole": 1.0}}, "'dipole' cannot be measured"),
        ({"losses": [{"atomic_multipoles": {"weight": 1.0}}]}, "needs the model output"),
        ({"losses": [LOSS, LOSS]}, "has 2 stage(s), the training of mace 1"),
    ],
)
def test_what_cannot_be_is_said_before_training(control, message, drive):
    found = drive("bad", [*STRESS, "--max_num_epochs=1"], status=1, task="check", **control)
    assert message in of_kind(found, "error")[0]["message"]
    assert not of_kind(found, "step")


@pytest.mark.slow
def test_polar(drive, tmp_path):
    """PolarMACE with the installed graph-longrange, all its parameters and terms, and its file."""
    heads = {
        "Default": {
            "train_file": "clusters_train.xyz", "valid_file": "clusters_valid.xyz",
            "test_file": "clusters_test.xyz", "E0s": "average",
            "arrays_keys": {"density_coefficients": "REF_multipoles"},
            "info_keys": {"dipole": "REF_dipole"},
        }
    }  # fmt: skip
    flags = [
        "--name=polar", *MODEL, "--model=PolarMACE", f"--heads={heads}",
        "--loss=energy_forces_dipole", "--error_table=EnergyDipoleRMSE", "--E0s=average",
        "--kspace_cutoff_factor=0.3", "--atomic_multipoles_max_l=1", "--batch_size=3",
        "--valid_batch_size=4", "--max_num_epochs=2", "--lr=0.01",
    ]  # fmt: skip
    terms = ("energy_per_atom", "forces", "dipole_per_atom", "atomic_multipoles")
    found = drive(
        "polar", flags, losses=[{name: {"weight": 1.0} for name in terms}], weighting=SHARES,
        metrics=dict.fromkeys(("energy", "forces", "dipole", "atomic_multipoles"), 1.0),
    )  # fmt: skip
    (note,) = of_kind(found, "note")
    assert "lr_source_maps" in note["message"]
    last = of_kind(found, "epoch")[-1]["metrics"]
    assert {"rmse_dipole", "rmse_atomic_multipoles", "rmse_energy", "rmse_forces"} <= last.keys()
    path = tmp_path / "polar" / "polar.model"
    assert b"sweep" not in path.read_bytes()
    model = torch.load(path, weights_only=False)
    assert any(name.startswith("lr_source_maps") for name, _ in model.named_parameters())


@pytest.mark.slow
def test_fine_tuning_with_replay(drive, tmp_path):
    """A model that was just trained is fine-tuned beside its own data, whose error is told."""
    drive("first", [*STRESS, "--max_num_epochs=1"])
    flags = [
        "--name=tuned", "--foundation_model=first/boxes.model", "--multiheads_finetuning=True",
        "--pt_train_file=boxes_train.xyz", "--pt_valid_file=boxes_valid.xyz",
        "--train_file=other_train.xyz", "--valid_file=other_valid.xyz", "--E0s=foundation",
        "--batch_size=3", "--valid_batch_size=4", "--max_num_epochs=2",
    ]  # fmt: skip
    terms = {f"{name}_huber": {"weight": 1.0} for name in ("energy_per_atom", "forces", "stress")}
    found = drive(
        "tuned", flags, losses=[terms], metrics={"energy": 1.0, "forces": 1.0}, measured=["replay"],
        weighting=SHARES | {"shares": {}},
    )  # fmt: skip
    assert not of_kind(found, "note")  # mace leaves the radii of a foundation model fixed
    first, second = (e["metrics"] for e in of_kind(found, "epoch"))
    assert first["rmse_replay"] > 0
    assert second["rmse_replay"] != first["rmse_replay"]
    naive = drive(
        "naive", [f for f in flags if "pt_" not in f], losses=[terms],
        metrics={"energy": 1.0, "forces": 1.0}, measured=["replay"], status=1, task="check",
    )  # fmt: skip
    assert "'replay' cannot be measured" in of_kind(naive, "error")[0]["message"]


@pytest.mark.slow
def test_split_seed_keeps_the_validation_set(drive, tmp_path):
    flags = [f for f in STRESS if "valid_file" not in f] + ["--valid_fraction=0.3"]
    for seed in (1, 2):
        drive(
            f"seed{seed}", [*flags, "--max_num_epochs=1"], split_seed=7, task="check",
            overrides={"seed": seed},
        )  # fmt: skip
    chosen = []  # mace logs fewer than ten, and writes more into a file
    for seed in (1, 2):
        log = (tmp_path / f"seed{seed}" / "logs" / f"boxes_run-{seed}.log").read_text()
        chosen.append(log.partition("with following indices: ")[2].partition("\n")[0])
    assert chosen[0] == chosen[1] != ""
