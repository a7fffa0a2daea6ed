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
    "CommandConfig",
    "Config",
    "ConfirmConfig",
    "ConstraintsConfig",
    "HeadConfig",
    "MaceRunTrainConfig",
    "MaceScfConfig",
    "ObjectiveConfig",
    "ProgramConfig",
    "RecipeConfig",
    "RecipeTermConfig",
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
    config_type_weights: dict[str, float] = field(default_factory=dict)


@dataclass
class WeightingConfig:
    """How the weights of the terms come about.

    See :mod:`losses.weighting` and :mod:`losses.scalarization`.
    """

    name: str = "fixed"
    interval: int = 20
    smoothing: float = 0.7
    ceiling: float = 1000.0
    lr: float = 0.025
    temperature: float = 2.0
    mu: float = 0.01
    shares: dict[str, float] = field(default_factory=dict)


@dataclass
class RecipeTermConfig:
    """The weight of a term in a recipe: times the number of atoms, and of coefficients, to a power.

    The powers take the recipe's normalisation to that of our term: the number of atoms is the mean
    of the training set, that of coefficients is how many multipoles an atom has.
    """

    weight: float = MISSING
    atoms: float = 0.0
    coefficients: float = 0.0


@dataclass
class RecipeConfig:
    """A published weighting; ``final`` is that of the last stage, where there are several."""

    name: str | None = None
    weights: dict[str, RecipeTermConfig] = field(default_factory=dict)
    final: dict[str, RecipeTermConfig] = field(default_factory=dict)


@dataclass
class StageConfig:
    """One entry of ``train_schedule``; ``start`` and ``end`` are epochs, both included."""

    name: str = MISSING
    start: int = MISSING
    end: int = MISSING
    lr: float = MISSING
    loss: Any = None
    shares: Any = None
    fixed_point_training_options: Any = None


@dataclass
class TrainerConfig:
    """Everything about our own training that is neither data, model, loss nor schedule."""

    name: str = "own"
    batch_size: int = MISSING
    valid_batch_size: int = MISSING
    optimizer: str = MISSING
    amsgrad: bool = MISSING
    beta: float = 0.9
    beta_two: float = 0.999
    weight_decay: float = MISSING
    ema: bool = MISSING
    ema_decay: float = MISSING
    clip_grad: float | None = None
    clip_median: float | None = None
    scheduler: str | None = None
    lr_factor: float = MISSING
    scheduler_patience: int = MISSING
    lr_scheduler_gamma: float = MISSING
    patience: int | None = None
    eval_interval: int = 1
    balance_interval: int = MISSING
    default_dtype: str = MISSING
    device: str = MISSING
    enable_cueq: bool = MISSING
    num_threads: int = MISSING


@dataclass
class ProgramConfig:
    """What all trainers have in common that are other programs."""

    name: str = MISSING
    device: str = "cpu"
    num_threads: int = 1
    timeout: float | None = MISSING
    grace: float = MISSING
    env: dict[str, str] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)


@dataclass
class CommandConfig(ProgramConfig):
    """Any program, as a command."""

    command: Any = MISSING
    resume: Any = None
    log: str | None = None
    pattern: str | None = None
    step_pattern: str | None = None
    first_epoch: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class MaceScfConfig(ProgramConfig):
    """MACE_SCF's ``run_train.py`` in an environment of its own."""

    python: str = MISSING
    script: str = MISSING
    config: str = MISSING
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class MaceRunTrainConfig(ProgramConfig):
    """``mace_run_train`` of mace-torch with the user's flags."""

    config: str | None = None
    args: list[str] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, str] | None = None
    losses: str = "own"
    train_all: bool = True
    balance_interval: int = 10


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

    metrics: list[Any] = MISSING
    statistic: str = MISSING
    epoch: str = MISSING
    minimize: list[str] = MISSING
    constraints: Any = field(default_factory=ConstraintsConfig)


@dataclass
class ConfirmConfig:
    """What is trained again when the search is done."""

    top: int = MISSING
    seeds: int = MISSING
    length: int = MISSING


@dataclass
class SearchConfig:
    """How the weights are searched; the space itself is ``hydra.sweeper.params``."""

    reference: str | None = None
    auto: float | None = None
    recipes: list[str] = field(default_factory=list)
    stages: str = "all"
    confirm: ConfirmConfig = field(default_factory=ConfirmConfig)


@dataclass
class Config:
    """The whole configuration of one training."""

    heads: dict[str, HeadConfig] = field(default_factory=dict)
    model: Any = MISSING  # of our own training
    loss: dict[str, Any] = field(default_factory=dict)
    loss_modules: list[str] = field(default_factory=list)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    weighting: WeightingConfig = field(default_factory=WeightingConfig)
    train_schedule: dict[str, StageConfig] = field(default_factory=dict)
    trainer: Any = MISSING  # its dataclass is in sweep.config.trainers.TRAINERS
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    # Its dataclass is in sweep.config.tracking.TRACKERS.
    tracking: Any = field(default_factory=lambda: {"name": "none"})
    seed: int = MISSING
    split_seed: int = MISSING
    fit_name: str = MISSING
    cache_dir: str | None = None
