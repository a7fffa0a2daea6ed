"""Stages of a training: from ``train_schedule`` and ``loss`` to checked, resolved stages.

Terms and their options are checked by the terms themselves. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import losses
from sweep.errors import InputError, unknown

__all__ = ["CONF_DIR", "Stage", "resolve_stages"]

CONF_DIR = Path(__file__).resolve().parents[2] / "conf"


@dataclass(frozen=True)
class Stage:
    """One stage of a training, checked.

    Attributes:
        index: Position in the schedule, from 0.
        name: Its name.
        start: First epoch.
        end: Last epoch, included, as in MACE_SCF.
        lr: Learning rate.
        loss: For every term its ``weight`` and options.
        options: Keyword arguments of the model's call in this stage, checked by its family.
        shares: Shares of its own, by term, in place of those of ``weighting``; None for none.
    """

    index: int
    name: str
    start: int
    end: int
    lr: float
    loss: dict[str, dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    shares: dict[str, float] | None = None

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term."""
        return {name: term["weight"] for name, term in self.loss.items()}


def resolve_stages(
    schedule: Mapping[str, Any], loss: Mapping[str, Any], *, own_terms: bool = True
) -> list[Stage]:
    """Check all stages at once and give each its loss.

    Args:
        schedule: ``train_schedule`` of the configuration, keys "0", "1", …
        loss: The composed ``loss``, taken by stages that have none.
        own_terms: Whether the terms are ours; those of another program can have any name and
            options.

    Raises:
        InputError: naming the key, what it is and what is valid.
    """
    if not schedule:
        raise InputError("train_schedule: empty; it needs at least a stage 0")
    if sorted(schedule) != sorted(str(index) for index in range(len(schedule))):
        raise InputError(f"train_schedule: stages are numbered 0, 1, …; got {', '.join(schedule)}")
    stages: list[Stage] = []
    next_start = 0
    for index in range(len(schedule)):
        entry = schedule[str(index)]
        key = f"train_schedule.{index}"
        if entry["start"] != next_start:
            raise InputError(
                f"{key}.start: must be {next_start}, the epoch after the stage before; "
                f"got {entry['start']}"
            )
        if entry["end"] < entry["start"]:
            raise InputError(
                f"{key}.end: must be at least start ({entry['start']}); got {entry['end']}"
            )
        lr = _positive(f"{key}.lr", entry["lr"])
        own = entry["loss"] is not None
        terms = _resolve_loss(
            f"{key}.loss" if own else "loss", entry["loss"] if own else loss, own_terms
        )
        shares = entry.get("shares")
        if not (shares is None or isinstance(shares, Mapping)):
            raise InputError(
                f"{key}.shares: must map terms to shares, as in {{forces: 2.0}}; got {shares!r}"
            )
        own_shares = None if shares is None else dict(shares)
        stages.append(
            Stage(index, entry["name"], entry["start"], entry["end"], lr, terms, {}, own_shares)
        )
        next_start = entry["end"] + 1
    return stages


def _positive(key: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{key}: must be positive and finite; got {value}")
    return float(value)


def _resolve_loss(key: str, loss: Any, own_terms: bool) -> dict[str, dict[str, Any]]:
    if not isinstance(loss, Mapping):
        raise InputError(f"{key}: must map terms to weights, as in {{forces: 100.0}}; got {loss!r}")
    terms = {
        name: _resolve_term(f"{key}.{name}", name, block, own_terms) for name, block in loss.items()
    }
    if not any(term["weight"] > 0 for term in terms.values()):
        raise InputError(
            f"{key}: no term has a weight above 0; choose terms with loss=[energy_per_atom,forces]"
        )
    return terms


def _resolve_term(key: str, name: str, block: Any, own_terms: bool) -> dict[str, Any]:
    """A term's weight and options; a bare number is the weight, as in MACE_SCF."""
    if own_terms and name not in losses.names():
        raise InputError(unknown("loss term", name, losses.names(), where=key))
    options = dict(block) if isinstance(block, Mapping) else {"weight": block}
    if "weight" not in options:
        raise InputError(f"{key}: has no weight; write {{weight: 1.0}} with its options")
    weight = options.pop("weight")
    if not _is_number(weight):
        raise InputError(f"{key}.weight: must be a number; got {weight!r}")
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"{key}.weight: must be finite and not negative; got {weight}")
    if not own_terms:
        return {"weight": float(weight), **options}
    term = losses.get(name)
    for option, value in options.items():
        if option not in term.options:
            valid = ("weight", *term.options)
            raise InputError(unknown(f"option of {name}", option, valid, where=key))
        try:
            term.check({option: value})
        except losses.LossError as error:
            raise InputError(f"{key}.{option}: {error}") from error
    checked = term.check(options)
    # A text option of its default value is left out: MACE_SCF, whose form this is, has none.
    kept = {
        option: value
        for option, value in checked.items()
        if not (isinstance(value, str) and value == term.options[option])
    }
    return {"weight": float(weight), **kept}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
