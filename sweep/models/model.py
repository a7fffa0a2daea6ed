"""What the trainer asks of a model of any family, and the derivatives that all have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sweep.models.backbone import hidden_irreps
from sweep.models.cueq import CueqBackbone, with_cueq
from sweep.models.settings import BackboneConfig, DataStatistics

__all__ = ["Model", "State"]


class State(NamedTuple):
    """What a model says of a batch before anything is differentiated.

    Attributes:
        energy: [G] total energy, eV.
        interaction_energy: [G] total energy without the atomic energies: the same derivatives, and
            in float32 without the rounding that adding large constants brings.
        outputs: what else the model returns, by the names in `Model.outputs`.
    """

    energy: Tensor
    interaction_energy: Tensor
    outputs: dict[str, Tensor]


class Model(torch.nn.Module, ABC):
    """A model that the trainer can train; a family implements :meth:`evaluate`.

    Attributes:
        family: name of the family in the registry and in the `families` of the loss terms.
        keep_last_layer_irreps: whether its features have l > 0 in the last layer too.
        outputs: names of everything that it can return. Set it on the instance where it depends on
            the settings.
        backbone: mace-torch's model within it.
    """

    family: ClassVar[str]
    keep_last_layer_irreps: ClassVar[bool] = True
    outputs: frozenset[str]
    backbone: torch.nn.Module

    @abstractmethod
    def __init__(self, settings: BackboneConfig, statistics: DataStatistics) -> None:
        super().__init__()

    @abstractmethod
    def evaluate(self, batch: Mapping[str, Tensor], *, periodic: bool, **options: Any) -> State:
        """Everything but derivatives at `batch["positions"]`; the batch stays as it is.

        This part takes no derivative and modifies nothing, so `torch.func` can transform it.
        """

    def reason_against(self, output: str, **options: Any) -> str | None:
        """Why this output cannot be trained with these options of a stage; None if it can.

        Args:
            output: name of an output.
            options: see :meth:`forward`.
        """
        if output not in self.outputs:
            return f"the model does not return {output}"
        return None

    def conserves_charge(self, **options: Any) -> bool:
        """Whether the total charge is imposed with these options, and so has no error."""
        return False

    def inputs(self, **options: Any) -> tuple[str, ...]:
        """Keys of the labels that it reads with these options, where others only compare."""
        return ()

    def reference(self, batch: Mapping[str, Tensor], *, periodic: bool) -> dict[str, Tensor]:
        """What the model's own electrostatics makes of the labels, one row per atom, by name.

        It depends on no parameter: the trainer computes it once and puts it into every batch.
        """
        return {}

    def prepare(self, batches: Iterable[tuple[Mapping[str, Tensor], bool]]) -> None:
        """Take from the training set what only the built model can; called once, before training.

        Args:
            batches: pairs of a batch and whether it is periodic.
        """

    def use_cueq(self, settings: BackboneConfig) -> None:
        """Replace the parts from mace-torch by the same with cuequivariance's kernels.

        Called once, within `construction`, before the model is moved to the GPU.

        Args:
            settings: those that it was built with.
        """
        keep = self.keep_last_layer_irreps
        converted = with_cueq(self.backbone, keep_last_layer_irreps=keep)
        self.backbone = CueqBackbone(converted, hidden_irreps(settings)) if keep else converted

    def forward(
        self,
        batch: Mapping[str, Tensor],
        *,
        periodic: bool,
        compute_force: bool = True,
        compute_stress: bool = False,
        training: bool = False,
        **options: Any,
    ) -> dict[str, Tensor]:
        """Predict every output for a batch; the batch and its tensors stay as they are.

        Args:
            batch: the batch (`sweep.data` describes its keys). `pair_index` is needed for
                molecules, `external_field` and what `reference` returns are used if present.
            periodic: whether the batch holds periodic cells or molecules; never both.
            compute_force: return forces. They need gradients, also within `torch.no_grad()`.
            compute_stress: return forces and the stress dE/dε / V of periodic cells.
            training: keep the graph, so that a loss of any output can be differentiated with
                respect to the parameters. Otherwise all outputs are detached.
            options: what the family's settings make of the keys of a stage
                (`BackboneConfig.stage_arguments`).

        Returns:
            The outputs by their names, `outputs` less `forces` and `stress` where not asked for.
        """
        differentiate = compute_force or compute_stress
        with torch.set_grad_enabled(training or differentiate):
            leaf = batch["positions"].detach().requires_grad_(differentiate)
            inputs = {**batch, "positions": leaf}
            strain = None
            if compute_stress:
                strain = leaf.new_zeros(batch["ptr"].numel() - 1, 3, 3).requires_grad_(True)
                inputs = _strained(inputs, strain)
            state = self.evaluate(inputs, periodic=periodic, **options)
            results = {"energy": state.energy, **state.outputs}
            if differentiate:
                variables = [leaf] if strain is None else [leaf, strain]
                gradients = torch.autograd.grad(
                    state.interaction_energy.sum(), variables, create_graph=training
                )
                results["forces"] = -gradients[0]
                if strain is not None:
                    volume = torch.linalg.det(batch["cell"].view(-1, 3, 3)).abs()
                    results["stress"] = gradients[1] / volume.view(-1, 1, 1)
        return results if training else {name: value.detach() for name, value in results.items()}


def _strained(batch: dict[str, Tensor], strain: Tensor) -> dict[str, Tensor]:
    """The batch with positions, shifts and cells under the symmetric part of `strain` [G, 3, 3]."""
    symmetric = 0.5 * (strain + strain.mT)
    index, source = batch["batch"], batch["edge_index"][0]

    def moved(vectors: Tensor, graph: Tensor) -> Tensor:
        return vectors + torch.einsum("ij,ijk->ik", vectors, symmetric[graph])

    cell = batch["cell"].view(-1, 3, 3)
    return {
        **batch,
        "positions": moved(batch["positions"], index),
        "shifts": moved(batch["shifts"], index[source]),
        "cell": (cell + cell @ symmetric).view(-1, 3),
    }
