"""The configuration's schema, and its registration with Hydra. Imports no torch.

What a key means is said in the YAML file that sets it; what is valid beyond its type is checked in
:mod:`sweep.config.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING, OmegaConf

from sweep.data import shipped
from sweep.quantities import QUANTITIES

__all__ = ["SWEEPER_TARGET", "register"]

# Hydra 1.3 instantiates only sweepers whose target starts with "hydra_plugins."; the name is a key
# of its look-up table, no such module exists.
SWEEPER_TARGET = "hydra_plugins.sweep.StudySweeper"


@dataclass
class HeadConfig:
    """One data set and the names of its labels, as in MACE_SCF and MACE."""

    train_file: str = MISSING
    valid_file: str | None = None
    test_file: str | None = None
    valid_fraction: float | None = None
    E0s: Any = "average"
    info_keys: dict[str, str] = field(default_factory=dict)
    arrays_keys: dict[str, str] = field(default_factory=dict)


@dataclass
class StageConfig:
    """One entry of ``train_schedule``; ``start`` and ``end`` are epochs, both included."""

    name: str = MISSING
    start: int = MISSING
    end: int = MISSING
    lr: float = MISSING
    loss: Any = None
    fixed_point_training_options: Any = None


@dataclass
class TrainerConfig:
    """Everything about a training that is neither data, model, loss nor schedule."""

    batch_size: int = MISSING
    valid_batch_size: int = MISSING
    optimizer: str = MISSING
    amsgrad: bool = MISSING
    weight_decay: float = MISSING
    ema: bool = MISSING
    ema_decay: float = MISSING
    clip_grad: float | None = None
    scheduler: str | None = None
    lr_factor: float = MISSING
    scheduler_patience: int = MISSING
    lr_scheduler_gamma: float = MISSING
    balance_interval: int = MISSING
    default_dtype: str = MISSING
    device: str = MISSING
    enable_cueq: bool = MISSING
    num_threads: int = MISSING


# Of every quantity the largest error that is allowed, as a multiple of the default's; None: any.
# With a field for each, plain overrides set them, and a wrong name is told from the right ones.
ConstraintsConfig: Any = make_dataclass(
    "ConstraintsConfig", [(name, float | None, None) for name in QUANTITIES]
)


@dataclass
class ObjectiveConfig:
    """What a trial is judged by."""

    metrics: list[str] = MISSING
    statistic: str = MISSING
    epoch: str = MISSING
    minimize: list[str] = MISSING
    constraints: Any = field(default_factory=ConstraintsConfig)


@dataclass
class ConfirmConfig:
    """What is trained again when the search is done."""

    top: int = MISSING
    seeds: int = MISSING


@dataclass
class SearchConfig:
    """How the weights are searched; the space itself is ``hydra.sweeper.params``."""

    reference: str | None = None
    balance_epochs: int = MISSING
    balance_prior: float = MISSING
    confirm: ConfirmConfig = field(default_factory=ConfirmConfig)


@dataclass
class Config:
    """The whole configuration of one training."""

    heads: dict[str, HeadConfig] = field(default_factory=dict)
    model: Any = MISSING
    loss: dict[str, Any] = field(default_factory=dict)
    train_schedule: dict[str, StageConfig] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    seed: int = MISSING
    fit_name: str = MISSING
    cache_dir: str | None = None


@dataclass
class StudySweeperConfig:
    """The sweeper's own keys; where Hydra's Optuna plugin has them too, its names."""

    defaults: list[Any] = field(
        default_factory=lambda: ["_self_", {"sampler": "gp"}, {"pruner": "median"}]
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
    sampler: Any = MISSING
    pruner: Any = MISSING
    params: dict[str, Any] = field(default_factory=dict)


def register() -> None:
    """Make the schema, the sweeper and the ``shipped_data`` resolver known to Hydra."""
    from sweep.hydra_plugin.sweeper import StudySweeper

    plugins = Plugins.instance()
    plugins.register(StudySweeper)
    # Registering alone is not enough in Hydra 1.3, see SWEEPER_TARGET.
    plugins.class_name_to_class[SWEEPER_TARGET] = StudySweeper
    store = ConfigStore.instance()
    store.store(name="sweep_schema", node=Config, provider="sweep")
    store.store(group="hydra/sweeper", name="study", node=StudySweeperConfig, provider="sweep")
    OmegaConf.register_new_resolver("shipped_data", lambda path: str(shipped(path)), replace=True)
