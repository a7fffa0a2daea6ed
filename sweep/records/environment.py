"""What the numbers of a training may depend on: host, device, versions, commit."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import version
from typing import Any

__all__ = ["environment"]

_PACKAGES = (
    "mace-loss-sweep", "torch", "mace-torch", "graph-longrange", "e3nn", "optuna", "hydra-core",
    "numpy", "pandas", "pyarrow",
)  # fmt: skip


@functools.cache  # it stays the same while a process trains one trial after the other
def environment() -> dict[str, Any]:
    """Host, versions and commit of this process, for ``trial.json``."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the working directory, None outside a repository or without git."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
