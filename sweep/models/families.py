"""The registry of model families: for each its settings and where its model is. No torch here.

A new family is a dataclass of settings, a module with a :class:`~sweep.models.model.Model`, an
entry here and a file in ``conf/model``; the terms that it can train name it in their ``families``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sweep.models.fixed_point.settings import FixedPointConfig
from sweep.models.polar_settings import PolarConfig
from sweep.models.settings import BackboneConfig, LocalChargesConfig, MaceConfig, one_of

__all__ = ["FAMILIES", "Family", "check_settings"]


@dataclass(frozen=True)
class Family:
    """One kind of model.

    Attributes:
        settings: dataclass of its settings; ``settings().family`` is its name.
        module: module of the model, which imports torch.
        model: name of the model's class there, called with settings and statistics.
    """

    settings: type[BackboneConfig]
    module: str
    model: str


FAMILIES: dict[str, Family] = {
    "mace": Family(MaceConfig, "sweep.models.mace", "Mace"),
    "local_charges": Family(LocalChargesConfig, "sweep.models.local_charges", "LocalCharges"),
    "fixed_point": Family(FixedPointConfig, "sweep.models.fixed_point.model", "FixedPoint"),
    "polar": Family(PolarConfig, "sweep.models.polar", "Polar"),
}
"""The model families that can be trained, by the names that ``model.family`` takes."""


def check_settings(settings: BackboneConfig) -> None:
    """Check every value of a model's settings that needs no data.

    Raises:
        InputError: naming the key, what arrived and what is valid.
    """
    one_of("family", settings.family, FAMILIES)
    settings.check()
