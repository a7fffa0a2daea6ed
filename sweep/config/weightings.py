"""The weightings that ``weighting.name`` can name, and what each needs. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import losses
from sweep.config.stages import Stage
from sweep.config.trainers import OWN, TrainerKind
from sweep.errors import InputError, unknown

__all__ = ["HAVE_SHARES", "WEIGHTINGS", "check_weighting"]

HAVE_SHARES = ("gradient_shares", "loss_shares")
OF_TORCHJD = ("dwa", "famo", "imtl_l", "stch", "uncertainty")
WEIGHTINGS = ("fixed", *HAVE_SHARES, "geometric_mean", *OF_TORCHJD)


def check_weighting(
    weighting: Mapping[str, Any],
    trainer: Mapping[str, Any],
    kind: TrainerKind,
    stages: Sequence[Stage],
) -> None:
    """Check the node ``weighting``, whose name is one of :data:`WEIGHTINGS`.

    Raises:
        InputError: if the trainer cannot train so, a library is missing, or shares are not valid.
    """
    name = weighting["name"]
    if not kind.moves_weights and name != "fixed":
        raise InputError(
            f"weighting: trainer={kind.option} trains with fixed weights; got weighting={name}"
        )
    if name == "famo" and trainer["name"] != OWN:
        raise InputError(
            f"weighting=famo: needs trainer=default, which looks at every batch again after the "
            f"step; got trainer={kind.option}"
        )
    if name in OF_TORCHJD and find_spec("torchjd") is None:
        raise InputError(
            f"weighting={name}: torchjd is not installed; pip install 'mace-loss-sweep[torchjd]'"
        )
    if kind.is_program and any(stage.shares is not None for stage in stages):
        raise InputError(
            f"train_schedule: trainer={kind.option} takes no shares of a stage, only those of "
            "weighting.shares; our own trainer (trainer=default) takes both"
        )
    if name not in ("fixed", *HAVE_SHARES) and weighting["shares"]:
        raise InputError(
            f"weighting.shares: weighting={name} has none; those with shares are "
            f"{', '.join(HAVE_SHARES)}"
        )
    _check_shares(weighting, stages)


def _check_shares(weighting: Mapping[str, Any], stages: Sequence[Stage]) -> None:
    given = {"weighting.shares": weighting["shares"]}
    given |= {f"train_schedule.{stage.index}.shares": stage.shares or {} for stage in stages}
    for block, shares in given.items():
        for name, share in shares.items():
            where = f"{block}.{name}"
            if name not in losses.names():
                raise InputError(unknown("loss term", name, losses.names(), where=where))
            number = isinstance(share, int | float) and not isinstance(share, bool)
            if not (number and math.isfinite(share) and share >= 0):
                raise InputError(f"{where}: must be finite and not negative; got {share}")
    for stage in stages if weighting["name"] in HAVE_SHARES else ():
        on = [name for name, weight in stage.weights.items() if weight > 0]
        shares = {**weighting["shares"], **(stage.shares or {})}
        if not any(shares.get(name, 1.0) for name in on):
            raise InputError(
                f"weighting.shares: all terms of stage {stage.index} ({stage.name}) have the share "
                f"0: {', '.join(on)}"
            )
