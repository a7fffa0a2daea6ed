"""The configuration's schema. Imports no torch.

What a key means is said in the YAML file that sets it; what is valid beyond its type is checked in
:mod:`sweep.config.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any

from omegaconf import MISSING

from sweep.quantities import QUANTITIES

__all__ = [
    "Config",
    "ConfirmConfig",
    "ConstraintsConfig",
    "HeadConfig",
    "ObjectiveConfig",
    "SearchConfig",
    "StageConfig",
    "TrainerConfig",
    "WeightingConfig",
]


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
class WeightingConfig:
    """How the weights of the terms come about: see :mod:`losses.weighting`."""

    name: str = "fixed"
    interval: int = 20
    smoothing: float = 0.7
    ceiling: float = 1000.0
    shares: dict[str, float] = field(default_factory=dict)


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
    "ConstraintsConfig",
    [(name, float | None, None) for name in QUANTITIES],
    namespace={"__module__": __name__},  # by which pickle finds it
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
    auto: float | None = None
    confirm: ConfirmConfig = field(default_factory=ConfirmConfig)


@dataclass
class Config:
    """The whole configuration of one training."""

    heads: dict[str, HeadConfig] = field(default_factory=dict)
    model: Any = MISSING
    loss: dict[str, Any] = field(default_factory=dict)
    loss_modules: list[str] = field(default_factory=list)
    weighting: WeightingConfig = field(default_factory=WeightingConfig)
    train_schedule: dict[str, StageConfig] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    seed: int = MISSING
    split_seed: int = MISSING
    fit_name: str = MISSING
    cache_dir: str | None = None
