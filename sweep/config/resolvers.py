"""The resolvers that ``conf`` uses besides Hydra's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sweep.data import shipped

__all__ = ["register_resolvers"]


def register_resolvers() -> None:
    """Make the resolvers known.

    * ``${shipped_data:PATH}``: a file of the data sets that come with the package.
    * ``${abspath:PATH}``: a path from where the command was started, for a program that runs in the
      folder of its trial.
    * ``${n_epochs:}``: the number of epochs of the whole schedule.
    """
    for name, resolver in (
        ("shipped_data", lambda path: str(shipped(path))),
        ("abspath", lambda path: str(Path(str(path)).expanduser().absolute())),
        ("n_epochs", _n_epochs),
    ):
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _n_epochs(*, _root_: Any) -> int:
    return 1 + max(int(stage.end) for stage in _root_.train_schedule.values())
