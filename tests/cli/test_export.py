"""The command as a user runs it; its experiment file trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sweep.export.__main__ import main
from sweep.files import write_json

STAGE = {"name": "one", "start": 0, "end": 9, "lr": 0.01}
SWEEP = [sys.executable, "-m", "sweep"]


@pytest.fixture
def study(tmp_path):
    """A study with two complete trials, of which the second is better."""
    for number, score in ((0, 0.5), (1, 0.25)):
        loss = {"forces": {"weight": 100.0}, "energy_per_atom": {"weight": 1.0 + number}}
        write_json(
            tmp_path / "esp" / "trials" / f"{number:04d}" / "trial.json",
            {"number": number, "state": "COMPLETE", "score": score,
             "stages": [{**STAGE, "loss": loss}]},
        )  # fmt: skip
    return tmp_path / "esp"


def test_printed_and_written_are_the_same(study, tmp_path, capsys):
    assert main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["train_schedule"][0]["loss"]["energy_per_atom"] == 2.0
    out = tmp_path / "new" / "best.yaml"
    assert main([str(study), "--format", "mace_scf", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text() == printed


@pytest.mark.parametrize("form", ["mace_scf", "mace_cli", "mace_run_train", "json"])
def test_any_trial_in_any_form(study, capsys, form):
    assert main([str(study), "--format", form, "--trial", "0"]) == 0
    assert "1.0" in capsys.readouterr().out


def test_terms_that_are_left_out_are_said(study, tmp_path, capsys):
    path = study / "trials/0001/trial.json"
    content = json.loads(path.read_text())
    content["stages"][0]["loss"]["esps"] = {"weight": 3.0}
    write_json(path, content)
    out = tmp_path / "train.sh"
    assert main([str(study), "--format", "mace_cli", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert captured.err == "note: stage 0: --loss=weighted has no esps (weight 3.0)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["esp", "--trial", "7"], "esp: has no trial 7; it holds trials 0 to 1"),
        (["esp", "--format", "mace-scf"], "--format: unknown format 'mace-scf'; did you mean"),
        (["esp", "--format", "hydra"], "config.yaml: cannot be read"),
        (["esp", "--out", "esp"], "--out esp: is a folder; name a file"),
    ],
)
def test_errors_are_one_line(study, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_neither_torch_nor_hydra_is_needed(study):
    code = (
        "import sys; from sweep.export.__main__ import main\n"
        f"for form in ('mace_scf', 'mace_cli', 'json'): main([{str(study)!r}, '--format', form])\n"
        "assert not {'torch', 'hydra', 'optuna', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny_overrides):
    """A training of two stages."""
    folder = tmp_path_factory.mktemp("trained")
    first = [*SWEEP, "+experiment=smoke", *tiny_overrides, "hydra.run.dir=outputs/once",
             "train_schedule.0.end=0", "train_schedule.1.start=1", "train_schedule.1.end=1",
             "loss.esps.weight=7.25"]  # fmt: skip
    done = subprocess.run(first, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "outputs" / "once"


def test_the_exported_experiment_trains(tmp_path, once):
    out = tmp_path / "conf" / "experiment" / "best.yaml"
    assert main([str(once), "--format", "hydra", "--out", str(out)]) == 0
    again = [*SWEEP, "--config-dir", "conf", "+experiment=best", "hydra.run.dir=outputs/again"]
    done = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    trials = [
        json.loads((folder / "trial.json").read_text())
        for folder in (once, tmp_path / "outputs" / "again")
    ]
    assert trials[0]["stages"][0]["loss"]["esps"]["weight"] == 7.25
    for key in ("stages", "score", "seed", "objective"):
        assert trials[0][key] == trials[1][key]


def test_the_exported_script_trains_in_mace(tmp_path, once):
    out = tmp_path / "train.sh"
    assert main([str(once), "--format", "mace_cli", "--out", str(out)]) == 0
    assert "has no esps (weight 7.25)" in out.read_text()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(out), "--name=mine"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.rglob("mine*.model"))
