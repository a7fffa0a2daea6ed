"""What errors are divided by in the score of a trial that another program trains."""

from __future__ import annotations

import math
from collections.abc import Mapping

from omegaconf import DictConfig

from sweep.data.dataset import load
from sweep.data.statistics import reference_deviations
from sweep.errors import InputError
from sweep.quantities import QUANTITIES

__all__ = ["scale_text", "scales_of"]


def scales_of(cfg: DictConfig, *, labels: bool = True) -> dict[str, float]:
    """Standard deviations of the references, of ``heads`` and of ``trainer.scales``.

    Labels that our readers can read, mapped in ``heads``, give them as for our own training; values
    in ``trainer.scales`` take their place. A quantity with neither is absent.

    Args:
        cfg: The configuration.
        labels: Whether to read the data of ``heads``.

    Raises:
        InputError: if the data cannot be read, or a scale is not above 0.
    """
    found: dict[str, float] = {}
    if labels and cfg.heads:
        data = load(cfg.heads, split_seed=cfg.split_seed, cache_dir=cfg.cache_dir)
        deviations = reference_deviations(data.train, data.atomic_energies)
        found = {name: value for name, value in deviations.items() if value > 0}
    for name, value in cfg.trainer.scales.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"trainer.scales.{name}: must be above 0; got {value}")
        found[str(name)] = float(value)
    return found


def scale_text(name: str, scales: Mapping[str, float]) -> str:
    """What a table says of the scale of a quantity."""
    unit = QUANTITIES[name].unit if name in QUANTITIES else "its own unit"
    if name in scales:
        return f"{scales[name]:.4g} {unit}"
    return f"1 {unit} (trainer.scales.{name}, or its label in heads, would say its spread)"
