"""The resolvers that ``conf`` uses besides Hydra's own."""

from __future__ import annotations

from omegaconf import OmegaConf

from sweep.data import shipped

__all__ = ["register_resolvers"]


def register_resolvers() -> None:
    """Make ``${shipped_data:PATH}`` known: a file of the data sets that come with the package."""
    OmegaConf.register_new_resolver("shipped_data", lambda path: str(shipped(path)), replace=True)
