"""Search and compare the loss weights of charge-aware MACE potentials.

In a notebook::

    import sweep

    study = sweep.load_study("outputs/esp_weights")
    study.trials           # a table of all trials
    study.best.loss        # for losses.WeightedLoss
    study[7].steps()       # what every optimiser step of trial 7 contributed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.records import Study, Trial, load_study

__all__ = ["Study", "Trial", "__version__", "load_study"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only when asked for: every command imports this package first.
    if name in ("Study", "Trial", "load_study"):
        from sweep import records

        return getattr(records, name)
    raise AttributeError(f"module 'sweep' has no attribute '{name}'")
