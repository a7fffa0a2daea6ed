"""What README and docs tell users to type works, on small data."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, block, blocks

RUN_ELSEWHERE = {
    "main": ".ci/run",
    "tests": ".ci/run",
    "generate": ".ci/run",
    "dashboard": "tests/report/test_dashboard.py",
    "mace model": "tests/export/test_mace_model.py",
    "mace_run_train": "tests/training/mace_run_train/test_study.py",
    "reuse": "tests/cli/test_other_objective.py",
    "own term": "test_the_recipe_for_a_term_of_ones_own",
    "two environments": None,  # the other one holds MACE_SCF
    "program search": "test_the_example_of_a_program",
}
TRAINING = ("search", "train")
MACE_SCF_CONFIG = """
heads:
  default:
    info_keys: {energy: REF_energy, dipole: REF_dipole}
    arrays_keys: {forces: REF_forces, atomic_multipoles: REF_multipoles}
train_file: train.xyz
valid_fraction: 0.2
E0s: average
train_schedule:
  0: {name: one, start: 0, end: 0, lr: 0.01, loss: {forces: 100.0, esps: 1.0}}
  1: {name: two, start: 1, end: 1, lr: 0.001, loss: {forces: 100.0, energy_per_atom: 100.0}}
"""


def commands() -> list[tuple[str, str]]:
    """Pages and their commands, without those that are run elsewhere."""
    return [
        (each.page, line)
        for each in blocks("bash")
        if each.name not in RUN_ELSEWHERE
        for line in each.text.replace("\\\n", " ").splitlines()
    ]


def cases(training: bool) -> list:
    """The commands that train, or that do not; what trains is slow but for that of the README."""
    return [
        pytest.param(
            command,
            id=f"{page}: {shlex.join(shlex.split(command, comments=True)[:4])} {number}",
            marks=[pytest.mark.slow] if training and page != "README.md" else [],
        )
        for number, (page, command) in enumerate(commands())
        if (command.split()[1] in TRAINING and "--help" not in command) is training
    ]


def run(words: list[str], folder: Path) -> str:
    """``loss-sweep`` with these words, as ``python -m sweep``; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *words], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def words_of(command: str) -> list[str]:
    program, *words = shlex.split(command, comments=True)
    assert program == "loss-sweep"
    return words


def test_the_commands_are_found():
    pages = {page for page, _ in commands()}
    assert {"README.md", "docs/studies.md", "docs/reports.md", "docs/training.md"} <= pages
    assert {each.name for each in blocks("bash") if each.name} == set(RUN_ELSEWHERE)
    assert len(cases(True)) + len(cases(False)) == len(commands()) > 25


@pytest.mark.parametrize("command", cases(True))
def test_trainings(command, tmp_path, tiny_data, tiny_overrides):
    words = words_of(command)
    small = ["model=local_charges_small", "model.num_channels=4"]
    if words[0] == "search":
        small += ["hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=3"]
    if "data=extxyz" in words or "from_mace_scf=config.yaml" in words:
        for split in ("train", "test"):
            shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
        (tmp_path / "config.yaml").write_text(MACE_SCF_CONFIG)
    else:
        small += [o for o in tiny_overrides if o.startswith("heads")]
    if "train_schedule.0.end" not in command and "from_mace_scf" not in command:
        small += ["train_schedule.0.end=1"]
    if "+experiment=esp_weights" in words:
        small += ["train_schedule.1.start=2", "train_schedule.1.end=2"]
    assert run([*words, *small], tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_overrides):
    """A folder with a small finished study where the docs have a long one."""
    folder = tmp_path_factory.mktemp("study")
    words = ["search", "+experiment=smoke", *tiny_overrides, "hydra.sweeper.n_jobs=1"]
    run([*words, "hydra.sweeper.study_name=esp_weights"], folder)
    return folder


@pytest.mark.parametrize("command", cases(False))
def test_tools(command, tmp_path, study):
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "outputs/esp_weights/trials/0000/logs", tmp_path / "logs")
    log = next((tmp_path / "logs").iterdir())
    # The small study has fewer trials and epochs, and its log has its own name.
    for name in ("first", "second", "runs/a", "runs/b"):
        if f"outputs/{name}" in command:
            trial = "trials/0000" if name.startswith("runs") else ""
            shutil.copytree(study / "outputs/esp_weights" / trial, tmp_path / "outputs" / name)
    for there, here in (
        ("0007", "0000"), ("--trial 7", "--trial 0"), ("logs/fit_run-123_debug.log", str(log)),
        ("--min-epoch 10", "--min-epoch 1"), ("0,12,17", "0,1"), ("--stages 5", "--stages 3"),
    ):  # fmt: skip
        command = command.replace(there, here)
    assert run(words_of(command), tmp_path)


def test_the_python_of_a_study(study, monkeypatch):
    monkeypatch.chdir(study)
    found = [each for each in blocks("python") if "load_study" in each.text]
    assert {each.page for each in found} == {"README.md", "docs/python.md"}
    for each in found:
        names: dict = {}
        exec(each.text, names)
        assert len(names["study"].trials) == 4


def test_the_loss_alone():
    """The Python block, with a small batch in place of the user's."""
    import torch

    (code,) = [each.text for each in blocks("python") if "WeightedLoss({" in each.text]
    ref = {
        "ptr": torch.tensor([0, 2]), "batch": torch.tensor([0, 0]), "weight": torch.ones(1),
        "energy": torch.zeros(1), "forces": torch.zeros(2, 3),
    }  # fmt: skip
    pred = {"energy": torch.tensor([2.0]), "forces": torch.full((2, 3), 0.1)}
    names = {"model_output": pred, "batch": ref}
    exec(code, names)
    assert float(names["total"]) == pytest.approx(1.0 + 1.0)
    assert names["breakdown"].names == ("energy_per_atom", "forces")


def test_the_recipe_for_a_new_term(tmp_path, tiny_overrides):
    """In a copy of the repository: one new file, one YAML file, and the command."""
    for folder in ("conf", "losses", "sweep"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "losses" / "terms" / "dipole_length.py").write_text(block("python", "term module"))
    yaml = tmp_path / "conf" / "loss" / "dipole_length.yaml"
    yaml.write_text(block("yaml", "term yaml"))
    page = PAGES["docs/development.md"]
    start = page.index("`python -m sweep 'loss=[forces,dipole_length]'")
    words = shlex.split(page[start + 1 : page.index("`", start + 1)])
    small = ["train_schedule.0.end=1", "loss.dipole_length.scale=2"]
    done = subprocess.run(
        [sys.executable, *words[1:], *tiny_overrides, *small], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "dipole_length" in done.stdout


def test_the_recipe_for_a_term_of_ones_own(tmp_path, tiny_overrides):
    (tmp_path / "my_conf" / "loss").mkdir(parents=True)
    (tmp_path / "my_terms.py").write_text(block("python", "own term module"))
    yaml = tmp_path / "my_conf" / "loss" / "energy_cosh.yaml"
    yaml.write_text(block("yaml", "own term yaml"))
    words = words_of(block("bash", "own term").replace("\\\n", " "))
    objective = ["objective.metrics=[energy,forces]", "train_schedule.0.end=1"]
    assert "energy_cosh" in run([*words, *tiny_overrides, *objective], tmp_path)


def test_the_example_of_a_program(tmp_path):
    experiment = tmp_path / "my_conf" / "experiment" / "mine.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(block("yaml", "program experiment"))
    (tmp_path / "train.py").write_text(block("python", "program"))
    search, compare, export = block("bash", "program search").splitlines()
    small = ["hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=4", "train_schedule.0.end=29"]
    shown = run([*words_of(search), *small], tmp_path)
    assert "trial 0 epoch 30/30" in shown
    assert "shares: forces" in shown
    assert "best weights" in run(words_of(compare), tmp_path)
    assert "--epochs 30 --seed 0" in run(words_of(export), tmp_path)


def test_the_cluster_file_composes(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "me")
    file = tmp_path / "my_conf" / "experiment" / "cluster.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(block("yaml", "cluster"))
    words = ["search", "--config-dir", "my_conf", "+experiment=[esp_weights,cluster]"]
    shown = run([*words, "--cfg", "hydra", "--resolve"], tmp_path)
    assert "SlurmLauncher" in shown
    assert "storage: postgresql://me@dbhost/studies" in shown
