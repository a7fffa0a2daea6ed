"""A readout of the polarizability: symmetric 3x3 tensors of the atoms from their features."""

from __future__ import annotations

import torch
from torch import Tensor

from sweep.libraries import o3
from sweep.models.backbone import hidden_irreps
from sweep.models.settings import BackboneConfig, DataStatistics

__all__ = ["PolarizabilityReadout"]


class PolarizabilityReadout(torch.nn.Module):
    """Polarizabilities of the atoms; their sum is that of the molecule.

    Every layer's features are mixed to a few channels, and products of two of these channels give
    an isotropic (l = 0) and an anisotropic part (l = 2): of two scalars, of a scalar and an l = 2
    feature where there are such, of two vectors. Features with l = 1 are enough. An isotropic
    polarizability per element, which starts at that of the training set, is learned with it.

    Args:
        settings: the model's settings, checked.
        statistics: polarizabilities of the elements and their scale in the training set.
    """

    basis: Tensor
    scale: Tensor

    def __init__(self, settings: BackboneConfig, statistics: DataStatistics) -> None:
        super().__init__()
        irreps = hidden_irreps(settings)
        self.features = irreps.dim
        channels = o3.Irreps(settings.MLP_irreps).count("0e")
        mixed = o3.Irreps([(channels, ir) for _, ir in irreps if ir.l <= 2])
        layers = range(settings.num_interactions)
        self.mix = torch.nn.ModuleList(o3.Linear(irreps, mixed) for _ in layers)
        self.multiply = torch.nn.ModuleList(
            o3.FullyConnectedTensorProduct(mixed, mixed, "0e + 2e") for _ in layers
        )
        dtype = torch.get_default_dtype()
        means = statistics.mean_polarizabilities or (0.0,) * len(statistics.atomic_numbers)
        self.isotropic = torch.nn.Parameter(torch.tensor(means, dtype=dtype).unsqueeze(-1))
        self.register_buffer("scale", torch.tensor(statistics.polarizability_scale, dtype=dtype))
        # [6, 3, 3]: the identity and five symmetric tensors without a trace, all of norm sqrt(3)
        identity = torch.eye(3, dtype=dtype).unsqueeze(0)
        traceless = o3.wigner_3j(1, 1, 2, dtype=dtype).permute(2, 0, 1) * 15**0.5
        self.register_buffer("basis", torch.cat([identity, traceless]))

    def forward(self, node_feats: Tensor, node_attrs: Tensor) -> Tensor:
        """Polarizabilities [N, 3, 3] of the atoms, in the unit of the labels.

        Args:
            node_feats: [N, layers x features] as the backbone returns them.
            node_attrs: [N, n_elements] one-hot elements.
        """
        blocks = torch.split(node_feats, self.features, dim=-1)
        parts = torch.zeros_like(node_feats[:, :6])
        for mix, multiply, block in zip(self.mix, self.multiply, blocks, strict=True):
            mixed = mix(block)
            parts = parts + multiply(mixed, mixed)
        parts = parts * self.scale
        scalars = parts[:, :1] + node_attrs @ self.isotropic
        parts = torch.cat([scalars, parts[:, 1:]], dim=-1)
        return torch.einsum("nk,kij->nij", parts, self.basis)
