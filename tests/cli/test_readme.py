"""What the README tells users to type works, on small data; its long commands are run by CI."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RUN_BY_CI = ("main", "tests", "generate")
SERVERS = ("dashboard",)  # tests/report/test_dashboard.py


def blocks(language: str) -> list[tuple[str | None, str]]:
    """Fenced code blocks with the name in the comment before them."""
    found = re.findall(
        rf"(?:<!-- (?P<name>[\w ]+) -->\n)?^ *```{language}\n(.*?)^ *```$", README, re.M | re.S
    )
    return [(name or None, body) for name, body in found]


def block(language: str, name: str) -> str:
    (body,) = [body for found, body in blocks(language) if found == name]
    indent = re.match(" *", body).group()
    return "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))


def commands() -> list[str]:
    """All commands of the README that are not run elsewhere."""
    found = []
    for name, body in blocks("bash"):
        if name not in (*RUN_BY_CI, *SERVERS):
            found += body.replace("\\\n", " ").splitlines()
    return found


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_commands_are_found():
    assert len(commands()) >= 8
    assert {name for name, _ in blocks("bash")} >= set(RUN_BY_CI)


SEARCHES = [c for c in commands() if c.startswith("python -m sweep ")]
TOOLS = [c for c in commands() if c.startswith("python -m sweep.")]

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


def test_every_command_is_run():
    assert sorted(SEARCHES + TOOLS) == sorted(commands())


@pytest.mark.parametrize("command", SEARCHES)
def test_searches(command, tmp_path, tiny_data, tiny_overrides):
    words = shlex.split(command, comments=True)
    small = ["model=local_charges_small", "model.num_channels=4"]
    if "-m" in words[3:]:
        small += ["hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=3"]
    if "data=extxyz" in words or "from_mace_scf=config.yaml" in words:
        for split in ("train", "test"):
            shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
        (tmp_path / "config.yaml").write_text(MACE_SCF_CONFIG)
    else:
        small += [o for o in tiny_overrides if o.startswith("heads")]
    if "from_mace_scf=config.yaml" not in words:
        small += ["train_schedule.0.end=1"]
    if "+experiment=esp_weights" in words:
        small += ["train_schedule.1.start=2", "train_schedule.1.end=2"]
    assert run([sys.executable, *words[1:], *small], tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_overrides):
    """A folder with a small finished study where the README has a long one."""
    folder = tmp_path_factory.mktemp("study")
    words = ["+experiment=smoke", "-m", *tiny_overrides, "hydra.sweeper.n_jobs=1"]
    run([sys.executable, "-m", "sweep", *words, "hydra.sweeper.study_name=esp_weights"], folder)
    return folder


@pytest.mark.parametrize("command", TOOLS)
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
        ("--min_epoch 10", "--min_epoch 1"), ("0,12,17", "0,1"),
    ):  # fmt: skip
        command = command.replace(there, here)
    words = shlex.split(command, comments=True)
    assert run([sys.executable, *words[1:]], tmp_path)


def test_the_recipe_for_a_new_term(tmp_path, tiny_overrides):
    """In a copy of the repository: one new file, one YAML file, and the command."""
    for folder in ("conf", "losses", "sweep"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "losses" / "dipole_length.py").write_text(block("python", "term module"))
    yaml = tmp_path / "conf" / "loss" / "dipole_length.yaml"
    yaml.write_text(block("yaml", "term yaml"))
    (words,) = re.findall(r"`(python -m sweep 'loss=\[forces,dipole_length\]'[^`]*)`", README)
    small = ["train_schedule.0.end=1", "loss.dipole_length.scale=2"]
    output = run([sys.executable, *shlex.split(words)[1:], *tiny_overrides, *small], tmp_path)
    assert "dipole_length" in output


def test_the_loss_alone():
    """The Python block, with a small batch in place of the user's."""
    import torch

    code = next(body for _, body in blocks("python") if "WeightedLoss" in body)
    ref = {
        "ptr": torch.tensor([0, 2]), "batch": torch.tensor([0, 0]), "weight": torch.ones(1),
        "energy": torch.zeros(1), "forces": torch.zeros(2, 3),
    }  # fmt: skip
    pred = {"energy": torch.tensor([2.0]), "forces": torch.full((2, 3), 0.1)}
    names = {"model_output": pred, "batch": ref}
    exec(code, names)
    assert float(names["total"]) == pytest.approx(1.0 + 1.0)
    assert names["breakdown"].names == ("energy_per_atom", "forces")
