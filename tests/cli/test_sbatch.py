"""A cluster that takes no job: the command ends at once, with what sbatch said."""

from __future__ import annotations

import os
import time

import pytest
from study_process import SMOKE, Command

SAYS = "sbatch: error: invalid partition specified: nowhere"


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_an_sbatch_that_fails_ends_the_command(tmp_path, tiny_overrides, n_jobs):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "sbatch": f"echo '{SAYS}' >&2; touch {tmp_path}/asked-$$; exit 1",
        "srun": "exit 1",
        "squeue": "exit 1",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    arguments = [
        *SMOKE, *tiny_overrides,
        "hydra/launcher=submitit_slurm", "hydra.launcher.partition=nowhere",
        f"hydra.sweeper.n_jobs={n_jobs}",
    ]  # fmt: skip
    began = time.monotonic()
    env = {"PATH": f"{programs}:{os.environ['PATH']}"}
    with Command(tmp_path, *arguments, env=env) as command:
        assert command.wait(100) == 1, command.output
    line = f"error: hydra/launcher: sbatch ended with status 1: {SAYS}"
    assert line in command.output.splitlines()
    assert "Traceback" not in command.output
    assert time.monotonic() - began < 90  # three tries with their grace would take minutes
    assert len(list(tmp_path.glob("asked-*"))) == 1
