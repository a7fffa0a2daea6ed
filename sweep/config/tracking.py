"""The trackers that ``tracking.name`` can name, and what each needs. Imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.errors import InputError, unknown
from sweep.passwords import masked

__all__ = ["TRACKERS", "check_tracking"]

_MODES = ("online", "offline")
# Folders are no longer developed by MLflow, and refused.
_STORES = ("http://", "https://", "sqlite:///", "postgresql", "mysql", "mssql", "databricks")


@dataclass
class NoneConfig:
    """Keys of ``tracking=none``."""

    name: str = "none"


@dataclass
class WandbConfig:
    """Keys of ``tracking=wandb``."""

    name: str = "wandb"
    project: str = "mace-loss-sweep"
    entity: str | None = None
    mode: str = "online"


@dataclass
class MlflowConfig:
    """Keys of ``tracking=mlflow``."""

    name: str = "mlflow"
    uri: str | None = None
    experiment: str = "mace-loss-sweep"


@dataclass
class TensorboardConfig:
    """Keys of ``tracking=tensorboard``."""

    name: str = "tensorboard"


# The name of a tracker is that of its package and of the extra that installs it.
TRACKERS: dict[str, type] = {
    "none": NoneConfig,
    "wandb": WandbConfig,
    "mlflow": MlflowConfig,
    "tensorboard": TensorboardConfig,
}


def check_tracking(cfg: DictConfig) -> None:
    """Check the node ``tracking`` of a configuration, and that its package is there.

    Raises:
        InputError: naming the key, or the extra to install.
    """
    node: Any = OmegaConf.to_container(cfg.tracking, resolve=True)
    written: Any = OmegaConf.to_container(cfg.tracking, resolve=False)
    name = node.get("name") if isinstance(node, Mapping) else node
    if name not in TRACKERS:
        raise InputError(unknown("tracker", str(name), TRACKERS, where="tracking.name"))
    schema = OmegaConf.structured(TRACKERS[name])
    for key in node:
        if key not in schema:
            raise InputError(unknown("key", key, map(str, schema), where=f"tracking.{key}"))
    try:
        OmegaConf.merge(schema, node)
    except OmegaConfBaseException as error:
        text = str(error.msg).splitlines()[0]
        raise InputError(f"tracking.{error.full_key}: {text}") from error
    for key in ("project", "experiment"):
        if key in node and not node[key].strip():
            raise InputError(f"tracking.{key}: must be a name; got '{node[key]}'")
    if name == "wandb" and node["mode"] not in _MODES:
        raise InputError(unknown("mode", node["mode"], _MODES, where="tracking.mode"))
    uri = written.get("uri")
    if uri is not None and masked(uri) != uri:
        raise InputError(
            f"tracking.uri={masked(uri)}: a password would be recorded; write "
            "'tracking.uri=${oc.env:NAME}' and set that variable"
        )
    if node.get("uri") is not None and not node["uri"].startswith(_STORES):
        raise InputError(
            f"tracking.uri: must begin with {', '.join(_STORES)}; got '{masked(node['uri'])}'"
        )
    if name != "none" and not _is_installed(name):
        raise InputError(f"tracking={name}: not installed: pip install 'mace-loss-sweep[{name}]'")


def _is_installed(package: str) -> bool:
    """Whether a package is there; a folder of that name, as wandb itself makes one, is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None
