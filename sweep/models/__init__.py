"""The model families that a study can train, composed of mace-torch and graph-longrange.

Importing this package is cheap: torch is imported by `build`, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sweep.models.families import FAMILIES, Family, check_settings
from sweep.models.fixed_point.settings import FixedPointConfig
from sweep.models.settings import BackboneConfig, DataStatistics, LocalChargesConfig

if TYPE_CHECKING:
    import torch

    from sweep.models.model import Model

__all__ = [
    "FAMILIES",
    "BackboneConfig",
    "DataStatistics",
    "Family",
    "FixedPointConfig",
    "LocalChargesConfig",
    "build",
    "check_settings",
]


def build(
    settings: BackboneConfig,
    statistics: DataStatistics,
    *,
    seed: int,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    enable_cueq: bool = False,
) -> Model:
    """Build the model that `settings` describe, with parameters drawn from `seed`.

    The same settings, statistics, seed and dtype give the same parameters bit for bit, whatever was
    drawn before; the global random state and the default dtype are left as they were.

    Args:
        settings: the `model` block of the configuration; `settings.family` chooses the class.
        statistics: what the model takes from the training set.
        seed: seed of the initial parameters.
        dtype: floating-point type of parameters and buffers.
        device: where the model is put; its parameters are always drawn on the CPU.
        enable_cueq: use cuequivariance's kernels, with the same initial parameters.

    Raises:
        InputError: a setting is not valid; the message names the key.
    """
    from sweep.models.backbone import construction

    check_settings(settings)
    family = FAMILIES[settings.family]
    kind: type[Model] = getattr(importlib.import_module(family.module), family.model)
    with construction(seed, dtype):
        model = kind(settings, statistics)
        if enable_cueq:
            model.use_cueq(settings)
    return model.to(device)
