"""Weights as flags of ``mace_run_train``, where its losses have the same terms.

Its losses are fixed combinations of terms. They equal ours (the tests compare with mace's own
classes) up to two things: some multiply the dipole by 100, which the exported weight takes back,
and some ignore the weights of configurations, which is said in a comment. So are terms that the
chosen loss does not have.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import InputError
from sweep.export.mace_flags import setup_flags
from sweep.export.winner import Winner
from sweep.records.trial_file import shortened
from sweep.records.weights_file import comments, number_text

__all__ = ["mace_cli"]

_UNWEIGHTED = "ignores the weights of configurations (config_weight)"
_UNMASKED = "fits every dipole, also those that are missing or masked: to zero"


@dataclass(frozen=True)
class _Loss:
    """One choice of ``--loss``.

    Attributes:
        name: What ``--loss`` takes.
        flags: For every term the flag of its weight and the factor that mace hides in it.
        extra: What else it needs on the command line.
        two_stages: Whether it has a second stage.
        remark: How it differs from ours.
    """

    name: str
    flags: Mapping[str, tuple[str, float]]
    extra: tuple[str, ...] = ()
    two_stages: bool = True
    remark: str | None = None


_ENERGY_FORCES = {"energy_per_atom": ("energy_weight", 1.0), "forces": ("forces_weight", 1.0)}
_LOSSES = (
    _Loss("weighted", _ENERGY_FORCES),
    _Loss("stress", {**_ENERGY_FORCES, "stress": ("stress_weight", 1.0)}),
    _Loss(
        "universal",
        {
            "energy_per_atom_huber": ("energy_weight", 1.0),
            "forces_huber": ("forces_weight", 1.0),
            "stress_huber": ("stress_weight", 1.0),
        },
        remark=_UNWEIGHTED,
    ),
    _Loss(
        "dipole",
        {"dipole_per_atom": ("dipole_weight", 100.0)},
        extra=("--model=AtomicDipolesMACE", "--error_table=DipoleRMSE"),
        two_stages=False,
        remark=f"{_UNWEIGHTED} and {_UNMASKED}",
    ),
    _Loss(
        "dipole_polar",
        {
            "dipole_per_atom": ("dipole_weight", 1.0),
            "polarizability": ("polarizability_weight", 1.0),
        },
        extra=("--model=AtomicDielectricMACE", "--error_table=DipolePolarRMSE"),
        remark=f"{_UNWEIGHTED} and {_UNMASKED}",
    ),
    _Loss(
        "energy_forces_dipole",
        {**_ENERGY_FORCES, "dipole_per_atom": ("dipole_weight", 100.0)},
        extra=("--model=EnergyDipolesMACE", "--error_table=EnergyDipoleRMSE"),
        remark=f"its dipole term {_UNWEIGHTED} and {_UNMASKED}",
    ),
)


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
    choice = _choose(losses)
    if len(stages) == 2 and not choice.two_stages:
        raise InputError(f"mace_run_train has no second stage with --loss={choice.name}")
    remarks = winner.comments()
    for index, (stage, loss) in enumerate(zip(stages, losses, strict=True)):
        for name in [name for name in loss if name not in choice.flags]:
            weight = number_text(float(loss.pop(name)["weight"]))
            remarks.append(f"stage {index}: --loss={choice.name} has no {name} (weight {weight})")
        if stage.get("fixed_point_training_options") is not None:
            remarks.append(f"stage {index}: mace_run_train has no fixed_point_training_options")
    setup, lacking = setup_flags(winner.config)
    name = re.sub(r"[^\w-]+", "_", winner.study)
    flags = [f"--name={name}_{winner.number}", *setup]
    flags += [f"--loss={choice.name}", *(choice.extra or ("--model=ScaleShiftMACE",))]
    flags += [*_weights(choice, losses[0], ""), *_huber_delta(losses)]
    flags += [f"--lr={number_text(stages[0]['lr'])}"]
    flags += [f"--max_num_epochs={int(stages[-1]['end']) + 1}"]
    if len(stages) == 2:
        flags += ["--swa", f"--start_swa={int(stages[1]['start'])}"]
        flags += _weights(choice, losses[1], "swa_")
        flags += [f"--swa_lr={number_text(stages[1]['lr'])}"]
    remarks += lacking
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


def _choose(losses: Sequence[Mapping[str, Any]]) -> _Loss:
    """The first loss that has all terms, else the one that has most of them."""
    wanted = dict.fromkeys(name for loss in losses for name in loss)
    choice = max(_LOSSES, key=lambda loss: len(wanted.keys() & loss.flags.keys()))
    for index, loss in enumerate(losses):
        if not loss.keys() & choice.flags.keys():
            known = {name for each in _LOSSES for name in each.flags}
            raise InputError(
                f"stage {index}: mace_run_train has no loss with {', '.join(loss)}"
                + (f" and {', '.join(wanted)}" if len(losses) > 1 else "")
                + f"; its terms: {', '.join(sorted(known))}"
            )
    return choice


def _weights(choice: _Loss, loss: Mapping[str, Mapping[str, Any]], prefix: str) -> list[str]:
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
