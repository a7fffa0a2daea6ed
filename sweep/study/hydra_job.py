"""A trial as a job of Hydra's: its ``.hydra`` folder, and what ``${hydra:...}`` resolves to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.files import write_text

__all__ = ["hydra_job"]

_BOOLEANS = {
    cased
    for word in ("y", "yes", "n", "no", "true", "false", "on", "off")
    for cased in (word, word.title(), word.upper())
}


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
    with read_write(cfg), open_dict(cfg):
        hydra = cfg.pop("hydra")
    # As HydraConfig.set_config does, but for its copy of the node.
    OmegaConf.set_readonly(hydra, True)
    holder: Any = OmegaConf.create({"hydra": hydra}, flags={"no_deepcopy_set_nodes": True})
    HydraConfig.instance().cfg = holder
    hydra._set_parent(cfg)
    try:
        if hydra.output_subdir is not None:
            records = folder / hydra.output_subdir
            for name, content in (
                ("config", cfg), ("hydra", HydraConfig.instance().cfg),
                ("overrides", hydra.overrides.task),
            ):  # fmt: skip
                write_text(records / f"{name}.yaml", _to_yaml(content))
        yield cfg
    finally:
        HydraConfig.instance().cfg = outer


class _Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """What ``OmegaConf.to_yaml`` writes, in C where PyYAML has that: the other half of the time."""


def _represent_text(dumper: Any, text: str) -> yaml.ScalarNode:
    """In quotes what would be read as something else."""
    try:
        float(text)
    except ValueError:
        quoted = text in _BOOLEANS
    else:
        quoted = True
    node: yaml.ScalarNode = dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="'" if quoted else None
    )
    return node


_Dumper.add_representer(str, _represent_text)


def _to_yaml(content: Any) -> str:
    plain = OmegaConf.to_container(content, resolve=False, enum_to_str=True)
    text: str = yaml.dump(
        plain, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_Dumper
    )
    return text
