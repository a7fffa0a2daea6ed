"""NVIDIA's cuequivariance kernels for the parts of a model that come from mace-torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sweep.libraries import CuEquivarianceConfig, extract_config, o3, transfer_weights

__all__ = ["CueqBackbone", "mul_ir", "with_cueq"]


def with_cueq(model: torch.nn.Module, *, keep_last_layer_irreps: bool) -> torch.nn.Module:
    """The same mace-torch model with cuequivariance's kernels, by mace-torch's own conversion.

    Its parameters have the same values, some in another shape. mace-torch's command forgets whether
    the last layer keeps its l > 0 features, so its parts are called here. Call it within
    `construction`; move the result to the GPU.

    Args:
        model: a ScaleShiftMACE or PolarMACE on the CPU, of correlation 2 or 3.
        keep_last_layer_irreps: whether its last layer keeps its l > 0 features.
    """
    config: dict[str, Any] = extract_config(model)
    config["atomic_numbers"] = config["atomic_numbers"].tolist()  # else torch warns of the copy
    config["keep_last_layer_irreps"] = keep_last_layer_irreps
    config["cueq_config"] = CuEquivarianceConfig(
        enabled=True,
        layout="ir_mul",
        group="O3_e3nn",
        optimize_all=True,
        conv_fusion=torch.cuda.is_available(),
    )
    converted: torch.nn.Module = model.__class__(**config)
    transfer_weights(
        model,
        converted,
        num_product_irreps=len(config["hidden_irreps"]) - 1,
        correlation=config["correlation"],
        num_layers=config["num_interactions"],
        use_reduced_cg=config["use_reduced_cg"],
        keep_last_layer_irreps=keep_last_layer_irreps,
    )
    return converted


class CueqBackbone(torch.nn.Module):
    """A converted backbone whose features stand in the order of e3nn, as the readouts expect.

    Args:
        model: what `with_cueq` returned.
        irreps: of the features of each layer.
    """

    def __init__(self, model: torch.nn.Module, irreps: o3.Irreps) -> None:
        super().__init__()
        self.model = model
        self.blocks = [(mul, ir.dim) for mul, ir in irreps]

    def forward(self, inputs: dict[str, Tensor], **options: Any) -> dict[str, Tensor | None]:
        """As ScaleShiftMACE."""
        outputs: dict[str, Tensor | None] = self.model(inputs, **options)
        features = outputs["node_feats"]
        assert features is not None
        return {**outputs, "node_feats": mul_ir(features, self.blocks)}


def mul_ir(features: Tensor, blocks: list[tuple[int, int]]) -> Tensor:
    """Features [N, layers x F] with the channels before the components within each irrep.

    Args:
        features: components before channels, as cuequivariance has them.
        blocks: number of channels and of components of each irrep of a layer.
    """
    width = sum(channels * components for channels, components in blocks)
    layers = features.unflatten(1, (-1, width))
    parts = torch.split(layers, [channels * components for channels, components in blocks], dim=-1)
    turned = [
        part.unflatten(-1, (components, channels)).transpose(-1, -2).flatten(-2)
        for part, (channels, components) in zip(parts, blocks, strict=True)
    ]
    return torch.cat(turned, dim=-1).flatten(1)
