"""Stages of a training: from ``train_schedule`` and ``loss`` to checked, resolved stages.

Imports no torch: the known terms and their options are those of the files in ``conf/loss``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError, unknown

__all__ = ["CONF_DIR", "Stage", "known_terms", "resolve_stages"]

# As in the registry of losses, which needs torch to be read.
_POSITIVE_OPTIONS = ("huber_delta", "beta")
_TEXT_OPTIONS = {("esps", "reference"): ("multipoles", "label")}

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
    """

    index: int
    name: str
    start: int
    end: int
    lr: float
    loss: dict[str, dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term."""
        return {name: term["weight"] for name, term in self.loss.items()}


@functools.cache
def known_terms() -> dict[str, dict[str, Any]]:
    """The terms of ``conf/loss`` with their default weights and options."""
    terms: dict[str, dict[str, Any]] = {}
    for path in sorted((CONF_DIR / "loss").glob("*.yaml")):
        terms.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return terms


def resolve_stages(schedule: Mapping[str, Any], loss: Mapping[str, Any]) -> list[Stage]:
    """Check all stages at once and give each its loss.

    Args:
        schedule: ``train_schedule`` of the configuration, keys "0", "1", …
        loss: The composed ``loss``, taken by stages that have none.

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
        terms = _resolve_loss(f"{key}.loss" if own else "loss", entry["loss"] if own else loss)
        stages.append(Stage(index, entry["name"], entry["start"], entry["end"], lr, terms))
        next_start = entry["end"] + 1
    return stages


def _positive(key: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{key}: must be positive and finite; got {value}")
    return float(value)


def _resolve_loss(key: str, loss: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(loss, Mapping):
        raise InputError(f"{key}: must map terms to weights, as in {{forces: 100.0}}; got {loss!r}")
    terms = {name: _resolve_term(f"{key}.{name}", name, block) for name, block in loss.items()}
    if not any(term["weight"] > 0 for term in terms.values()):
        raise InputError(
            f"{key}: no term has a weight above 0; choose terms with loss=[energy_per_atom,forces]"
        )
    return terms


def _resolve_term(key: str, name: str, block: Any) -> dict[str, Any]:
    """A term's weight and options; a bare number is the weight, as in MACE_SCF."""
    known = known_terms()
    if name not in known:
        raise InputError(unknown("loss term", name, known, where=key))
    term = dict(block) if isinstance(block, Mapping) else {"weight": block}
    for option in term:
        if option not in known[name]:
            raise InputError(unknown(f"option of {name}", option, known[name], where=key))
        if option != "weight":
            texts = _TEXT_OPTIONS.get((name, option), ())
            _check_option(f"{key}.{option}", option, term[option], known[name][option], texts)
    if "weight" not in term:
        raise InputError(f"{key}: has no weight; write {{weight: 1.0}} with its options")
    weight = term["weight"]
    if not _is_number(weight):
        raise InputError(f"{key}.weight: must be a number; got {weight!r}")
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"{key}.weight: must be finite and not negative; got {weight}")
    # A text option of its default value is left out: MACE_SCF, whose form this is, has none.
    return {
        option: value
        for option, value in {**known[name], **term, "weight": float(weight)}.items()
        if not (isinstance(value, str) and value == known[name][option])
    }


def _check_option(key: str, option: str, value: Any, default: Any, texts: tuple[str, ...]) -> None:
    """An option has the type of its default; a text is one of ``texts``."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{key}: must be true or false; got {value!r}")
    elif isinstance(default, str):
        if value not in texts:
            raise InputError(unknown("value", value, texts, where=key))
    elif not (_is_number(value) and math.isfinite(value)):
        raise InputError(f"{key}: must be a finite number; got {value!r}")
    elif option in _POSITIVE_OPTIONS and value <= 0:
        raise InputError(f"{key}: must be above 0; got {value}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
