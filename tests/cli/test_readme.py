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
    """All commands of the README that CI does not run as they are."""
    found = []
    for name, body in blocks("bash"):
        if name not in RUN_BY_CI:
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


@pytest.mark.parametrize("command", commands())
def test_commands(command, tmp_path, tiny_data, tiny_overrides):
    words = shlex.split(command, comments=True)
    assert words[:3] == ["python", "-m", "sweep"]
    small = ["model=local_charges_small", "model.num_channels=4", "train_schedule.0.end=1"]
    if "data=extxyz" in words:
        for split in ("train", "test"):
            shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
        small += ["hydra.sweeper.n_trials=3"]
    elif "+experiment=esp_weights" in words:
        small += ["train_schedule.1.start=2", "train_schedule.1.end=2"]
    if "data=extxyz" not in words:
        small += [o for o in tiny_overrides if o.startswith("heads")]
    output = run([sys.executable, *words[1:], *small], tmp_path)
    assert output


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
