"""Starting workers with the Hydra launcher that a configuration names."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import re
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.errors import InputError
from sweep.workers.process import WorkerProcess
from sweep.workers.processes import Launch, NotStartedError

__all__ = ["launch_with", "plain_outputs"]

_TAG = re.compile("%[jtAa]")


@dataclass(frozen=True)
class _Composed:
    """Stands in for Hydra's composition in a launcher, which composes anew in every job.

    A worker has its configuration from the sweep; the files that it came from may have changed
    since, or lie elsewhere.
    """

    template: DictConfig

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """The composed configuration with these overrides."""
        cfg = copy.deepcopy(self.template)
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            for text in sweep_overrides:
                override = OverridesParser.create().parse_override(text)
                value: Any = override.value()
                text_value = getattr(value, "text", value)  # of a quoted string
                OmegaConf.update(cfg, override.key_or_group, text_value)
        return cfg


@dataclass(frozen=True)
class _Job:
    """A worker's process as Hydra's task."""

    process: WorkerProcess

    def __call__(self, cfg: DictConfig) -> None:
        own = HydraConfig.get()
        os.chdir(own.runtime.cwd)  # hydra.job.chdir moves; paths are from where the sweep started
        self.process(own.job.num)


def launch_with(context: HydraContext, config: DictConfig, process: WorkerProcess) -> Launch:
    """A function that starts workers with a launcher.

    Args:
        context: What Hydra gave the sweeper.
        config: The configuration that names the launcher.
        process: What the workers run.
    """
    subdir = process.session.relative_to(process.spec.folder)
    # Workers are launched from several threads at once, and to copy a DictConfig cuts its branches
    # off for a moment, so that another thread misses what they refer to: each call has its own.
    parts = cloudpickle.dumps((config, process))

    def launch(n_workers: int, first: int) -> None:
        own_config, own_process = pickle.loads(parts)
        composed: Any = _Composed(own_process.spec.template)
        # A launcher keeps what it was called with.
        with plain_outputs(own_config) as plain:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=HydraContext(config_loader=composed, callbacks=context.callbacks),
                task_function=_Job(own_process),
                config=plain,
            )
            jobs = [[f"hydra.sweep.subdir='{subdir}/{first + i}'"] for i in range(n_workers)]
            try:
                launcher.launch(jobs, initial_job_idx=first)
            except Exception as error:
                if (reason := _why_not_started(error)) is not None:
                    raise NotStartedError(f"hydra/launcher: {reason}") from error
                raise

    return launch


def _why_not_started(error: Exception) -> str | None:
    """What submitit says if it started nothing; None if jobs began, and one of them has failed."""
    frames = [(frame.f_globals.get("__name__"), frame.f_code.co_name)
              for frame, _ in traceback.walk_tb(error.__traceback__)]  # fmt: skip
    names = {str(module).partition(".")[0] for module, _ in frames}
    if "submitit" not in names or ("submitit.core.core", "results") in frames:
        return None
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError):
        command = Path(str(cause.cmd[0])).name
        said = " ".join(str(cause.stderr or cause.output or "").split()) or "it said nothing"
        return f"{command} ended with status {cause.returncode}: {said}"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def plain_outputs(config: DictConfig) -> Iterator[DictConfig]:
    """A copy of the configuration whose launcher meets no tag of submitit in the study's folder.

    In the folder of its outputs submitit replaces ``%j`` and the like wherever they stand, so that
    it would look for results beside a study called ``10%jitter``.

    Raises:
        InputError: the launcher cannot be told otherwise.
    """
    own = copy.deepcopy(config)
    folder = str(Path(str(config.hydra.sweep.dir)).absolute())
    if "submitit_folder" not in own.hydra.launcher or not _TAG.search(folder):
        yield own
        return
    if not str(own.hydra.launcher._target_).endswith("LocalLauncher"):
        raise InputError(
            f"hydra.sweep.dir: '{folder}' holds {_TAG.findall(folder)[0]}, which Slurm replaces "
            "in names of files; choose another folder"
        )
    with tempfile.TemporaryDirectory(prefix="loss-sweep-") as temporary:
        link = Path(temporary) / "study"
        link.symlink_to(folder, target_is_directory=True)
        with read_write(own.hydra), open_dict(own.hydra):
            own.hydra.launcher.submitit_folder = f"{link}/workers/submitit/%j"
        yield own
