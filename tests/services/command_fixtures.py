"""The command in this process, and small data files of a user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import DictConfig

from sweep.cli.app import python_m_sweep
from sweep.config.stages import CONF_DIR
from sweep.hydra_plugin.registration import register

FRAME = """3
Properties=species:S:1:pos:R:3:REF_forces:R:3 REF_energy={energy} pbc="F F F"
{centre} 0.0 0.0 0.1 0.1 0.0 0.0
H 0.0 0.8 -0.5 0.0 0.1 0.0
H 0.0 -0.8 -0.5 0.0 0.0 0.1
"""


LIMIT = 60.0  # seconds


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: water in ``water.xyz``, an argon compound in ``argon.xyz``."""
    for name, centre in (("water", "O"), ("argon", "Ar")):
        frames = [FRAME.format(energy=-14.0 - i / 10, centre=centre) for i in range(4)]
        (tmp_path / f"{name}.xyz").write_text("".join(frames))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Result]]:
    """``python -m sweep`` with the given arguments, in this process."""

    def too_long(*_: object) -> None:
        pytest.fail(f"the command did not end within {LIMIT} s")

    previous = signal.signal(signal.SIGALRM, too_long)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["sweep", *arguments])
        capsys.readouterr()
        # Of what is tested like this nothing trains, which would take minutes to find out.
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            status = python_m_sweep()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return Result(status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def traced(folder: Path) -> Callable[..., tuple[Result, set[str]]]:
    """The command in a process of its own, and the modules that it imported."""

    def run(*arguments: str) -> tuple[Result, set[str]]:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "sweep", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        lines = done.stderr.splitlines(keepends=True)
        imports = [line for line in lines if line.startswith("import time:")]
        rest = "".join(line for line in lines if not line.startswith("import time:"))
        modules = {line.rpartition("|")[2].strip() for line in imports}
        assert "hydra" in modules  # the trace itself works
        return Result(done.returncode, done.stdout, rest), modules

    return run


@pytest.fixture(scope="session")
def load_config() -> Callable[..., DictConfig]:
    """Compose the product's configuration; ``hydra=True`` keeps the ``hydra`` node."""
    from hydra import compose, initialize_config_dir

    register()

    def make(*overrides: str, hydra: bool = False) -> DictConfig:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return compose("config", list(overrides), return_hydra_config=hydra)

    return make
