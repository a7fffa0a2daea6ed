"""The one door to mace-torch, e3nn and graph-longrange: imported in the right order, and quietly.

mace must come before e3nn, because it lets e3nn 0.4 load its constants under torch >= 2.6. What the
three warn about while they are imported and while their modules are built concerns their authors,
not the user of a sweep; `quiet` keeps it from the terminal. Every other module takes the names it
needs from here.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

__all__ = [
    "CuEquivarianceConfig",
    "GTOElectrostaticEnergy",
    "GTOElectrostaticFeatures",
    "LinearDipoleReadoutBlock",
    "LinearReadoutBlock",
    "NonLinearDipoleReadoutBlock",
    "NonLinearReadoutBlock",
    "PolarMACE",
    "ScaleShiftMACE",
    "compute_k_vectors_flat",
    "e3nn",
    "extract_config",
    "gate_dict",
    "gto_basis_kspace_cutoff",
    "interaction_classes",
    "o3",
    "quiet",
    "transfer_weights",
]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignore the known warnings of the libraries; all others still come through."""
    with warnings.catch_warnings():
        for message in (
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",  # e3nn loads its constants
            "`torch.jit.* is deprecated",  # e3nn and mace script their blocks
            "The TorchScript type system doesn't support instance-level",  # mace's blocks
            "__array_wrap__ must accept",  # graph-longrange hands tensors to scipy
        ):
            warnings.filterwarnings("ignore", message=message)
        yield


# mace prints a line if the optional cuequivariance is not installed.
with quiet(), contextlib.redirect_stdout(io.StringIO()):
    import mace  # noqa: F401 - first, see above

    # isort: split
    import e3nn
    from e3nn import o3
    from graph_longrange.energy import GTOElectrostaticEnergy
    from graph_longrange.features import GTOElectrostaticFeatures
    from graph_longrange.gto_utils import gto_basis_kspace_cutoff
    from graph_longrange.kspace import compute_k_vectors_flat
    from mace.cli.convert_e3nn_cueq import transfer_weights
    from mace.modules import gate_dict, interaction_classes
    from mace.modules.blocks import (
        LinearDipoleReadoutBlock,
        LinearReadoutBlock,
        NonLinearDipoleReadoutBlock,
        NonLinearReadoutBlock,
    )
    from mace.modules.extensions import PolarMACE
    from mace.modules.models import ScaleShiftMACE
    from mace.modules.wrapper_ops import CuEquivarianceConfig
    from mace.tools.scripts_utils import extract_config_mace_model as extract_config
