"""The loss terms of charge-aware potentials, their weighted sum and its balance.

Needs nothing but torch::

    loss = losses.WeightedLoss({"energy_per_atom": 1, "forces": {"weight": 100.0}})
    total = loss(pred=model(batch), ref=batch)

A new term is one new file in this package: a function decorated with :func:`register`. Every module
here is imported with the package.
"""

from losses import balance
from losses.base import LossError, Needs, Term, discover, get, names, register
from losses.batch import Quantities
from losses.molecules import molecule_index
from losses.squares import Squares
from losses.weighted import Breakdown, WeightedLoss, evaluate

__all__ = [
    "Breakdown",
    "LossError",
    "Needs",
    "Quantities",
    "Squares",
    "Term",
    "WeightedLoss",
    "balance",
    "discover",
    "evaluate",
    "get",
    "molecule_index",
    "names",
    "register",
]

discover()
