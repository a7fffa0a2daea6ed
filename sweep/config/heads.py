"""Checks of ``heads`` that need no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.config.trainers import TrainerKind
from sweep.data.type_weights import check_type_weights
from sweep.errors import InputError

__all__ = ["check_heads"]


def check_heads(heads: Mapping[str, Mapping[str, Any]], kind: TrainerKind) -> None:
    """Check the weights of types; which types there are is checked where the data are read.

    Args:
        heads: The resolved node.
        kind: The trainer.

    Raises:
        InputError: naming the key.
    """
    for name, head in heads.items():
        where = f"heads.{name}.config_type_weights"
        if check_type_weights(head.get("config_type_weights"), where) and kind.is_program:
            raise InputError(
                f"{where}: is for our own training; trainer={kind.option} trains with the weights "
                "that its own files, flags or keys give the types"
            )
