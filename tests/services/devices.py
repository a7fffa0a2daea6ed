"""Devices that tests run on: the CPU, which proves the test itself, and CUDA where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

DEVICES = [pytest.param("cpu", id="cpu"), pytest.param("cuda", marks=pytest.mark.gpu, id="cuda")]


def need(device: str) -> None:
    """Skip the test where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch sees none")


@contextmanager
def no_synchronisation(device: str) -> Iterator[None]:
    """On CUDA whatever waits for the device raises; elsewhere nothing can wait."""
    if device != "cuda":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
