"""The model families that a study can train, composed of mace-torch and graph-longrange.

Importing this package is cheap: torch is imported by `build`, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.models.settings import (
    FAMILIES,
    DataStatistics,
    LocalChargesConfig,
    check_settings,
)

if TYPE_CHECKING:
    import torch

    from sweep.models.local_charges import LocalCharges

__all__ = ["FAMILIES", "DataStatistics", "LocalChargesConfig", "build", "check_settings"]


def build(
    settings: LocalChargesConfig,
    statistics: DataStatistics,
    *,
    seed: int,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> LocalCharges:
    """Build the model that `settings` describe, with parameters drawn from `seed`.

    The same settings, statistics, seed and dtype give the same parameters bit for bit, whatever was
    drawn before; the global random state and the default dtype are left as they were.

    Args:
        settings: the `model` block of the configuration; `settings.family` chooses the class.
        statistics: what the model takes from the training set.
        seed: seed of the initial parameters.
        dtype: floating-point type of parameters and buffers.
        device: where the model is put; its parameters are always drawn on the CPU.

    Raises:
        InputError: a setting is not valid; the message names the key.
    """
    from sweep.models.backbone import construction
    from sweep.models.local_charges import LocalCharges

    check_settings(settings)
    with construction(seed, dtype):
        model = LocalCharges(settings, statistics)
    return model.to(device)
