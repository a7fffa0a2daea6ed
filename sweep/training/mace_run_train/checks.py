"""What of mace's training is not driven, said once mace has set everything up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sweep.errors import InputError
from sweep.training.mace_run_train.control import Control

__all__ = ["check_is_driven"]


def check_is_driven(control: Control, given: Mapping[str, Any]) -> None:
    """Refuse what would be trained in another way than asked for.

    Args:
        control: What is wanted.
        given: What ``mace.tools.train`` is called with.

    Raises:
        InputError: for several processes, stages that mace does not have, and weights that cannot
            move.
    """
    if given["distributed"]:
        raise InputError("trainer=mace_run_train: --distributed is not driven; use one process")
    has_stage_two = given["swa"] is not None and given["swa"].start < given["max_num_epochs"]
    if control.losses and len(control.losses) != 1 + has_stage_two:
        raise InputError(
            f"trainer=mace_run_train: the configuration has {len(control.losses)} stage(s), "
            f"the training of mace {1 + has_stage_two} (--swa, --start_swa)"
        )
    if control.weighting["name"] != "fixed" and not control.own:
        raise InputError(
            f"weighting={control.weighting['name']}: needs our loss in place of mace's "
            "(trainer.losses=own)"
        )
    is_lbfgs = isinstance(given["optimizer"], torch.optim.LBFGS)
    if is_lbfgs and control.weighting["name"] != "fixed":
        raise InputError(
            f"weighting={control.weighting['name']}: LBFGS evaluates the loss many times in a "
            "step, whose weights must not move; weighting=fixed, or leave --lbfgs out"
        )
