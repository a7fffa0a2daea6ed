"""Tiny trainings of ``mace_run_train``: stock, and driven."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.data import shipped
from sweep.training.mace_run_train.control import EVENTS, Control

MODEL = [
    "--num_channels=4", "--max_L=1", "--max_ell=2", "--correlation=2", "--r_max=4",
    "--radial_MLP=[8]", "--MLP_irreps=4x0e", "--num_radial_basis=4",
]  # fmt: skip
STRESS = [
    "--name=boxes", "--train_file=boxes_train.xyz", "--valid_file=boxes_valid.xyz",
    "--test_file=boxes_test.xyz", *MODEL, "--model=ScaleShiftMACE", "--E0s=average",
    "--batch_size=3", "--valid_batch_size=4", "--lr=0.01", "--loss=stress", "--energy_weight=1",
    "--forces_weight=100", "--stress_weight=1",
]  # fmt: skip
LOSS = {
    "energy_per_atom": {"weight": 1.0}, "forces": {"weight": 100.0}, "stress": {"weight": 1.0},
}  # fmt: skip
SHARES = {
    "name": "gradient_shares", "interval": 2, "smoothing": 0.7, "ceiling": 1000.0,
    "shares": {"forces": 2.0},
}  # fmt: skip


@pytest.fixture(scope="session")
def mace_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few boxes and clusters of the shipped sets, as files of a user."""
    import ase.io

    folder = tmp_path_factory.mktemp("mace")
    for name in ("boxes", "clusters"):
        for split, chosen in (("train", "0:9"), ("valid", "0:4"), ("test", "0:4")):
            frames = ase.io.read(shipped(f"water_{name}/{split}.xyz"), index=chosen)
            ase.io.write(folder / f"{name}_{split}.xyz", frames)
    more = ase.io.read(shipped("water_boxes/train.xyz"), index="20:26")
    ase.io.write(folder / "other_train.xyz", more)
    more = ase.io.read(shipped("water_boxes/valid.xyz"), index="10:13")
    ase.io.write(folder / "other_valid.xyz", more)
    return folder


def run(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a program in a folder, with what it prints in a file."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    with (folder / "output.txt").open("a") as output:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)


def start(name: str, flags: list[str], folder: Path, **control: Any) -> subprocess.Popen[str]:
    """Start a driven training; what it writes is in a folder of this name."""
    control.setdefault("losses", [LOSS])
    control.setdefault("metrics", dict.fromkeys(("energy", "forces", "stress"), 1.0))
    given = Control(
        folder=str(folder / name), overrides={"work_dir": str(folder / name), "plot": False,
        "seed": 1, **control.pop("overrides", {})}, **control,
    )  # fmt: skip
    given.write(folder / f"{name}.json")
    module = "sweep.training.mace_run_train"
    return run([sys.executable, "-m", module, f"{name}.json", *flags], folder)


@pytest.fixture
def drive(mace_data: Path, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Run a driven training to its end; returns its events."""

    def call(
        name: str, flags: list[str], *, status: int = 0, **control: Any
    ) -> list[dict[str, Any]]:
        link_data(mace_data, tmp_path)
        process = start(name, flags, tmp_path, **control)
        assert process.wait(300) == status, (tmp_path / "output.txt").read_text()[-3000:]
        return events(tmp_path / name)

    return call


def link_data(source: Path, target: Path) -> None:
    for path in source.glob("*.xyz"):
        if not (target / path.name).exists():
            (target / path.name).symlink_to(path)


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / EVENTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The events of a kind, without their times."""
    return [
        {key: value for key, value in event.items() if key != "time"}
        for event in found
        if event["event"] == kind
    ]
