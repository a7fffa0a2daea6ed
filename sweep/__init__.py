"""Search and compare the loss weights of charge-aware MACE potentials.

In a notebook::

    import sweep

    study = sweep.load_study("outputs/esp_weights")
    study.trials           # a table of all trials
    study.best.loss        # for losses.WeightedLoss
    study[7].steps()       # what every optimiser step of trial 7 contributed
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.records import Study, Trial, load_study

__all__ = ["Study", "Trial", "__version__", "load_study"]

__version__ = "0.1.0"


class _OwnLosses:
    """Finds the package ``losses`` beside this one.

    ``python -m sweep`` looks into the working folder first, where users have a ``losses`` of their
    own.
    """

    folder = Path(__file__).resolve().parent.parent / "losses"

    @classmethod
    def find_spec(cls, name: str, *_: object) -> ModuleSpec | None:
        if name != "losses":
            return None
        return spec_from_file_location(
            name, cls.folder / "__init__.py", submodule_search_locations=[str(cls.folder)]
        )


if (_OwnLosses.folder / "__init__.py").is_file() and _OwnLosses not in sys.meta_path:
    sys.meta_path.insert(0, _OwnLosses)


def __getattr__(name: str) -> Any:
    # Only when asked for: every command imports this package first.
    if name in ("Study", "Trial", "load_study"):
        from sweep import records

        return getattr(records, name)
    raise AttributeError(f"module 'sweep' has no attribute '{name}'")
