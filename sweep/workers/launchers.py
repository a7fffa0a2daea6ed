"""Hydra's launchers and what their workers are to a sweep; the only place that tells them apart.

A new launcher is a row of :data:`LAUNCHERS`, unless it is one of a cluster.
"""

from __future__ import annotations

from enum import StrEnum

from sweep.errors import InputError

__all__ = ["LAUNCHERS", "LauncherKind", "launcher_kind"]


class LauncherKind(StrEnum):
    """Where the workers of a launcher run."""

    IN_PROCESS = "in-process"
    """In the process of the sweep: one worker."""
    LOCAL = "local"
    """Processes of this machine. They share its cores and GPUs and stop with the sweep; each is a
    call of the launcher of its own, so that one that dies can be replaced while others work."""
    CLUSTER = "cluster"
    """Jobs of a cluster. They outlive the sweep; the cluster itself restarts what it preempted."""


_SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"
_JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"

LAUNCHERS = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": LauncherKind.IN_PROCESS,
    f"{_SUBMITIT}.LocalLauncher": LauncherKind.LOCAL,
    f"{_SUBMITIT}.SlurmLauncher": LauncherKind.CLUSTER,
}


def launcher_kind(target: str) -> LauncherKind:
    """The kind of a launcher by the target of its configuration.

    One that is not in the table is taken for that of a cluster, of which there are many.

    Raises:
        InputError: if its workers cannot work on a study.
    """
    if target == _JOBLIB:
        raise InputError(
            "hydra/launcher: joblib ends all workers when one dies; valid: local (processes of "
            "this machine), submitit_slurm (a cluster), basic (in this process)"
        )
    return LAUNCHERS.get(target, LauncherKind.CLUSTER)
