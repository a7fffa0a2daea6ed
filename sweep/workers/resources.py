"""What this machine has for workers. Imports no torch."""

from __future__ import annotations

import os
import subprocess

from sweep.errors import InputError

__all__ = ["default_n_jobs", "gpu_slots"]


def default_n_jobs(num_threads: int) -> int:
    """As many workers as there are cores for their threads."""
    return max(1, len(os.sched_getaffinity(0)) // num_threads)


def gpu_slots(device: str, workers_per_gpu: int) -> list[str]:
    """The value of ``CUDA_VISIBLE_DEVICES`` for each place that a worker can take.

    Args:
        device: ``cuda`` for all GPUs that are visible here, ``cuda:1`` for that one of them.
        workers_per_gpu: How many workers share a GPU.

    Raises:
        InputError: if there is no such GPU.
    """
    gpus = _visible_gpus()
    if ":" in device:
        number = int(device.partition(":")[2])
        gpus = gpus[number : number + 1]
    if not gpus:
        raise InputError(
            f"trainer.device: '{device}' is not there; this machine shows no such GPU; "
            "trainer.device=cpu trains without"
        )
    # The first worker of every GPU comes before the second of any.
    return gpus * workers_per_gpu


def _visible_gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return listing.split()
