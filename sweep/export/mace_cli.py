"""Weights as flags of ``mace_run_train``, where its losses have the same terms.

Two things of its losses are said or taken back, see :mod:`.mace_losses`; terms that the chosen loss
does not have are said in a comment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sweep.errors import InputError
from sweep.export.mace_flags import flags_of_the_user, setup_flags
from sweep.export.winner import Winner
from sweep.records.trial_file import shortened
from sweep.records.weights_file import comments, number_text
from sweep.training.mace_run_train.mace_losses import MACE_LOSSES, MaceLoss

__all__ = ["mace_cli"]

_REMARKS_OF_OWN = [
    "Your flags, from where the study was started, and the weights after them.",
    "mace_run_train keeps the epoch with the smallest weighted loss; the trial the best score.",
]


def mace_cli(winner: Winner) -> str:
    """A shell script that calls ``mace_run_train`` with the weights, and further flags after them.

    What ``mace_run_train`` cannot say is a comment in it.

    Raises:
        InputError: if a stage has no term that ``mace_run_train`` has, or there are stages that it
            has not.
    """
    stages = winner.stages
    losses = [
        {name: term for name, term in stage["loss"].items() if float(term["weight"]) > 0}
        for stage in stages
    ]
    if len(stages) > 2:
        raise InputError(f"mace_run_train has two stages; trial {winner.number} has {len(stages)}")
    own = flags_of_the_user(winner.config)
    choice = _choose(losses, [] if own is None else own)
    if len(stages) == 2 and not choice.two_stages:
        raise InputError(f"mace_run_train has no second stage with --loss={choice.name}")
    remarks = winner.comments()
    for index, (stage, loss) in enumerate(zip(stages, losses, strict=True)):
        for name in [name for name in loss if name not in choice.flags]:
            weight = number_text(float(loss.pop(name)["weight"]))
            remarks.append(f"stage {index}: --loss={choice.name} has no {name} (weight {weight})")
        if stage.get("fixed_point_training_options") is not None:
            remarks.append(f"stage {index}: mace_run_train has no fixed_point_training_options")
    name = re.sub(r"[^\w-]+", "_", winner.study)
    if own is None:
        setup, remarks_of_setup = setup_flags(winner.config)
        setup += list(choice.extra or ("--model=ScaleShiftMACE",))
    else:
        setup = [*own, f"--seed={winner.config['seed']}"] if winner.config else own
        remarks_of_setup = _REMARKS_OF_OWN
    flags = [*setup, f"--name={name}_{winner.number}", f"--loss={choice.name}"]
    flags += [*_weights(choice, losses[0], ""), *_huber_delta(losses)]
    flags += [f"--lr={number_text(stages[0]['lr'])}"]
    flags += [f"--max_num_epochs={int(stages[-1]['end']) + 1}"]
    if len(stages) == 2:
        flags += ["--swa", f"--start_swa={int(stages[1]['start'])}"]
        flags += _weights(choice, losses[1], "swa_")
        flags += [f"--swa_lr={number_text(stages[1]['lr'])}"]
    remarks += remarks_of_setup
    if choice.remark:
        remarks.append(f"--loss={choice.name} {choice.remark}.")
    if any(factor != 1.0 for _, factor in choice.flags.values()):
        remarks.append("mace multiplies its dipole term by 100; dipole_weight is ours / 100.")
    remarks.append("Further flags follow the name of this script, and win over those in it.")
    return (
        f"#!/bin/sh\n{comments(remarks)}mace_run_train \\\n"
        + "".join(f"    {shlex.quote(flag)} \\\n" for flag in flags)
        + '    "$@"\n'
    )


def _choose(losses: Sequence[Mapping[str, Any]], own: Sequence[str]) -> MaceLoss:
    """The loss that has all terms, else most of them: the user's own, or else the first."""
    wanted = dict.fromkeys(name for loss in losses for name in loss)
    preferred = next((w.partition("=")[2] for w in reversed(own) if w.startswith("--loss=")), None)

    def rank(loss: MaceLoss) -> tuple[int, bool]:
        return len(wanted.keys() & loss.flags.keys()), loss.name == preferred

    choice = max(MACE_LOSSES, key=rank)
    for index, loss in enumerate(losses):
        if not loss.keys() & choice.flags.keys():
            known = {name for each in MACE_LOSSES for name in each.flags}
            raise InputError(
                f"stage {index}: mace_run_train has no loss with {', '.join(loss)}"
                + (f" and {', '.join(wanted)}" if len(losses) > 1 else "")
                + f"; its terms: {', '.join(sorted(known))}"
            )
    return choice


def _weights(choice: MaceLoss, loss: Mapping[str, Mapping[str, Any]], prefix: str) -> list[str]:
    """The weight of every term of mace's loss; 0 for those that this stage does not have."""
    return [
        f"--{prefix}{flag}={number_text(float(loss.get(name, {}).get('weight', 0.0)) / factor)}"
        for name, (flag, factor) in choice.flags.items()
    ]


def _huber_delta(losses: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    given = [
        term["huber_delta"] for loss in losses for term in loss.values() if "huber_delta" in term
    ]
    for delta in given:
        if type(delta) not in (int, float):
            raise InputError(f"huber_delta: must be a number; got {shortened(delta)}")
    deltas = {float(delta) for delta in given}
    if len(deltas) > 1:
        values = ", ".join(map(str, sorted(deltas)))
        raise InputError(
            f"mace_run_train has one huber_delta for all terms; this trial has {values}"
        )
    return [f"--huber_delta={number_text(delta)}" for delta in deltas]
