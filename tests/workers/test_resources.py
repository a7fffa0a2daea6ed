"""How many workers a machine takes, and which GPU each gets."""

from __future__ import annotations

import os

import pytest

from sweep.errors import InputError
from sweep.workers.resources import default_n_jobs, gpu_slots


def test_as_many_workers_as_cores_for_their_threads(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [default_n_jobs(n) for n in (1, 2, 3, 8, 16)] == [8, 4, 2, 1, 1]


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A machine of three GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("device", "per_gpu", "slots"),
    [
        ("cuda", 1, ["0", "1", "2"]),
        ("cuda", 2, ["0", "1", "2", "0", "1", "2"]),
        ("cuda:1", 1, ["1"]),
        ("cuda:2", 2, ["2", "2"]),
    ],
)
def test_every_gpu_has_its_places(nvidia_smi, device, per_gpu, slots):
    assert gpu_slots(device, per_gpu) == slots


def test_what_the_environment_hides_is_not_there(nvidia_smi, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert gpu_slots("cuda", 1) == ["2", "0"]
    assert gpu_slots("cuda:1", 1) == ["0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(InputError, match=r"trainer\.device: 'cuda'"):
        gpu_slots("cuda", 1)


def test_a_gpu_that_is_not_there_is_refused(nvidia_smi):
    with pytest.raises(InputError, match=r"trainer\.device: 'cuda:3'"):
        gpu_slots("cuda:3", 1)
