"""The MACE backbone: construction of mace-torch's ScaleShiftMACE from our settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sweep.libraries import ScaleShiftMACE, e3nn, gate_dict, interaction_classes, o3, quiet
from sweep.models.settings import BackboneConfig, DataStatistics

__all__ = ["backbone_arguments", "build_backbone", "construction", "hidden_irreps"]


@contextlib.contextmanager
def construction(seed: int, dtype: torch.dtype) -> Iterator[None]:
    """Seed torch and set the defaults of torch and e3nn for building a model; restored afterwards.

    e3nn's blocks stay Python instead of TorchScript: a step takes the same time, building takes
    half, and the first steps are not slower than the others. What is scripted all the same runs
    without the fuser (a setting of the process), which finds nothing to fuse on a CPU and makes the
    first steps 2-5 times slower by looking for it.
    """
    dtype_before = torch.get_default_dtype()
    e3nn_before = e3nn.get_optimization_defaults()
    with torch.random.fork_rng(devices=[]), quiet():
        torch.jit.set_fusion_strategy([("STATIC", 0), ("DYNAMIC", 0)])
        torch.manual_seed(seed)
        torch.set_default_dtype(dtype)
        e3nn.set_optimization_defaults(jit_script_fx=False)
        try:
            yield
        finally:
            e3nn.set_optimization_defaults(**e3nn_before)
            torch.set_default_dtype(dtype_before)


def hidden_irreps(settings: BackboneConfig) -> o3.Irreps:
    """Node features of each layer: `num_channels` of each l from 0 to `max_L`, natural parity."""
    harmonics = o3.Irreps.spherical_harmonics(settings.max_L)
    return (settings.num_channels * harmonics).sort().irreps.simplify()


def backbone_arguments(settings: BackboneConfig, statistics: DataStatistics) -> dict[str, Any]:
    """The arguments of mace-torch's ScaleShiftMACE, which its other models take too.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
    """
    return {
        "atomic_inter_scale": statistics.atomic_inter_scale,
        "atomic_inter_shift": statistics.atomic_inter_shift,
        "r_max": settings.r_max,
        "num_bessel": settings.num_radial_basis,
        "num_polynomial_cutoff": settings.num_cutoff_basis,
        "max_ell": settings.max_ell,
        "interaction_cls": interaction_classes[settings.interaction],
        "interaction_cls_first": interaction_classes[settings.interaction_first],
        "num_interactions": settings.num_interactions,
        "num_elements": len(statistics.atomic_numbers),
        "hidden_irreps": hidden_irreps(settings),
        "MLP_irreps": o3.Irreps(settings.MLP_irreps),
        "atomic_energies": np.array(statistics.atomic_energies),
        "avg_num_neighbors": statistics.avg_num_neighbors,
        "atomic_numbers": list(statistics.atomic_numbers),
        "correlation": settings.correlation,
        "gate": gate_dict[settings.gate],
        "radial_MLP": list(settings.radial_MLP),
    }


def build_backbone(
    settings: BackboneConfig, statistics: DataStatistics, *, keep_last_layer_irreps: bool = True
) -> ScaleShiftMACE:
    """Build the MACE model; call it within `construction`.

    Args:
        settings: the model's settings, checked.
        statistics: elements, atomic energies and scales of the training set.
        keep_last_layer_irreps: whether the last layer keeps its l > 0 features, as the others do:
            multipoles are read from them, energies are not.
    """
    arguments = backbone_arguments(settings, statistics)
    return ScaleShiftMACE(**arguments, keep_last_layer_irreps=keep_last_layer_irreps)
