"""A trial as a job of Hydra's: its ``.hydra`` folder, and what ``${hydra:...}`` resolves to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

__all__ = ["hydra_job"]


@contextmanager
def hydra_job(cfg: DictConfig) -> Iterator[DictConfig]:
    """Do what Hydra's own ``run_job`` does around a task, without its copies of the configuration.

    Those take most of the time that a trial costs beside the training and Optuna. Hydra's callbacks
    see the job of the worker, not every trial.

    Args:
        cfg: The configuration of a trial with the ``hydra`` node, which it loses.

    Yields:
        The configuration as the task sees it.
    """
    folder = Path(cfg.hydra.sweep.dir) / cfg.hydra.sweep.subdir
    with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
        cfg.hydra.runtime.output_dir = str(folder.absolute())
    outer = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(cfg)
    try:
        with read_write(cfg), open_dict(cfg):
            hydra = cfg.pop("hydra")
        if hydra.output_subdir is not None:
            records = folder / hydra.output_subdir
            records.mkdir(parents=True, exist_ok=True)
            for name, content in (
                ("config", cfg), ("hydra", HydraConfig.instance().cfg),
                ("overrides", hydra.overrides.task),
            ):  # fmt: skip
                text = OmegaConf.to_yaml(content)
                (records / f"{name}.yaml").write_text(text, encoding="utf-8")
        yield cfg
    finally:
        HydraConfig.instance().cfg = outer
