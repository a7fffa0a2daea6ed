"""The loss terms of charge-aware potentials, their weighted sum, its balance and its weighting.

Needs nothing but torch, and that only when something is computed: what terms there are and what
they need can be asked without it::

    loss = losses.WeightedLoss({"energy_per_atom": 1, "forces": {"weight": 100.0}})
    total = loss(pred=model(batch), ref=batch)

A new term is one new file in ``losses/terms``, or a module of one's own: a function decorated with
:func:`register`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from losses import balance
from losses.base import LossError, Needs, Term, discover, get, names, register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities
    from losses.molecules import molecule_index
    from losses.scalarization import DWA, FAMO, IMTLL, STCH, GeometricMean, Uncertainty
    from losses.weighted import Breakdown, WeightedLoss, evaluate
    from losses.weighting import GradientShares, LossShares, Weighting

__all__ = [
    "DWA",
    "FAMO",
    "IMTLL",
    "STCH",
    "Breakdown",
    "GeometricMean",
    "GradientShares",
    "LossError",
    "LossShares",
    "Needs",
    "Quantities",
    "Squares",
    "Term",
    "Uncertainty",
    "WeightedLoss",
    "Weighting",
    "balance",
    "discover",
    "evaluate",
    "get",
    "molecule_index",
    "names",
    "register",
]

# Imported when they are asked for, because they import torch.
_LATER = {
    "Breakdown": "losses.weighted",
    **dict.fromkeys(
        ("DWA", "FAMO", "GeometricMean", "IMTLL", "STCH", "Uncertainty"), "losses.scalarization"
    ),
    "GradientShares": "losses.weighting",
    "LossShares": "losses.weighting",
    "Quantities": "losses.batch",
    "WeightedLoss": "losses.weighted",
    "Weighting": "losses.weighting",
    "evaluate": "losses.weighted",
    "molecule_index": "losses.molecules",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'losses' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


discover()
