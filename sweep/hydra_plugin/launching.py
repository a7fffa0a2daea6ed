"""Starting workers with the Hydra launcher that a configuration names."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.workers.process import WorkerProcess
from sweep.workers.processes import Launch

__all__ = ["launch_with"]


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
        self.process(HydraConfig.get().job.num)


def launch_with(context: HydraContext, config: DictConfig, process: WorkerProcess) -> Launch:
    """A function that starts workers with a launcher.

    Args:
        context: What Hydra gave the sweeper.
        config: The configuration that names the launcher.
        process: What the workers run.
    """
    composed: Any = _Composed(process.spec.template)
    own = HydraContext(config_loader=composed, callbacks=context.callbacks)
    subdir = process.session.relative_to(process.spec.folder)

    def launch(n_workers: int, first: int) -> None:
        # A launcher keeps what it was called with: each call has its own.
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=own, task_function=_Job(process), config=copy.deepcopy(config)
        )
        launcher.launch(
            [[f"hydra.sweep.subdir='{subdir}/{first + i}'"] for i in range(n_workers)],
            initial_job_idx=first,
        )

    return launch
