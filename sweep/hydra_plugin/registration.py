"""Makes the configuration's schema and the sweeper known to Hydra. Imports no torch."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING

from sweep.config.resolvers import register_resolvers
from sweep.config.schema import Config
from sweep.config.trainers import TRAINERS
from sweep.hydra_plugin.sweeper import StudySweeper

__all__ = ["SWEEPER_TARGET", "register"]

# Hydra 1.3 instantiates only sweepers whose target starts with "hydra_plugins."; the name is a key
# of its look-up table, no such module exists.
SWEEPER_TARGET = "hydra_plugins.sweep.StudySweeper"


@dataclass
class StudySweeperConfig:
    """The sweeper's own keys; where Hydra's Optuna plugin has them too, its names."""

    defaults: list[Any] = field(
        default_factory=lambda: ["_self_", {"sampler": "tpe"}, {"pruner": "median"}]
    )
    _target_: str = SWEEPER_TARGET
    # The sampler and the pruner are instantiated where they are used, not with the sweeper.
    _recursive_: bool = False
    study_name: str = "study"
    n_trials: int = 20
    n_jobs: int | None = None
    workers_per_gpu: int = 1
    storage: str | None = None
    max_failure_rate: float = 0.5
    dashboard: bool = False
    reuse: Any = None
    sampler: Any = MISSING
    pruner: Any = MISSING
    params: dict[str, Any] = field(default_factory=dict)


def register() -> None:
    """Make the schema, the sweeper and the configuration's resolvers known."""
    plugins = Plugins.instance()
    plugins.register(StudySweeper)
    # Registering alone is not enough in Hydra 1.3, see SWEEPER_TARGET.
    plugins.class_name_to_class[SWEEPER_TARGET] = StudySweeper
    store = ConfigStore.instance()
    store.store(name="sweep_schema", node=Config, provider="sweep")
    for name, kind in TRAINERS.items():
        store.store(group="trainer", name=f"{name}_schema", node=kind.settings, provider="sweep")
    store.store(group="hydra/sweeper", name="study", node=StudySweeperConfig, provider="sweep")
    # Hydra copies its sources, all schemas among them, for every group that `--help` lists, which
    # took two of its three seconds. The store is a singleton and copies what it hands out itself.
    copyreg.pickle(ConfigStore, _the_store)
    register_resolvers()


def _the_store(_: ConfigStore) -> tuple[Callable[[], ConfigStore], tuple[()]]:
    return ConfigStore.instance, ()
