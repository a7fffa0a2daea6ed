"""The plain MACE potential: energies, forces and stresses, no charges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sweep.models.backbone import build_backbone
from sweep.models.model import Model, State
from sweep.models.settings import BackboneConfig, DataStatistics

__all__ = ["Mace"]


class Mace(Model):
    """mace-torch's ScaleShiftMACE as `mace_run_train` builds it.

    Any boundary conditions are fine: whatever is in reach of an atom is its neighbour.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """

    family: ClassVar[str] = "mace"
    keep_last_layer_irreps: ClassVar[bool] = False
    outputs = frozenset({"energy", "forces", "stress"})

    def __init__(self, settings: BackboneConfig, statistics: DataStatistics) -> None:
        super().__init__(settings, statistics)
        self.backbone = build_backbone(
            settings, statistics, keep_last_layer_irreps=self.keep_last_layer_irreps
        )

    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool, **options: Any) -> State:
        """The energy at `batch["positions"]`, nothing differentiated."""
        positions = batch["positions"]
        # mace-torch writes into the mapping and switches gradients on for the positions it is given
        inputs = {**batch, "positions": positions.view_as(positions)}
        backbone = self.backbone(inputs, compute_force=False)
        return State(backbone["energy"], backbone["interaction_energy"], {})
