"""From the optimiser and the schedule of evaluations of MACE_SCF to ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sweep.config.schema import TrainerConfig
from sweep.mace_scf.names import TRAINER_DEFAULTS
from sweep.mace_scf.reading import number
from sweep.mace_scf.remarks import Remarks

__all__ = ["translate_trainer"]

_OPTIMIZERS = ("adam", "adamw", "schedulefree")
# When it validates and when it ends; at the end of every epoch and stage unless a file says more.
_EVALUATIONS = (
    ("patience", "different", "evaluations of the last stage without a better score"),
    ("eval_interval", "different", "the last epoch of every stage is evaluated, too"),
)


def translate_trainer(
    content: Mapping[str, Any], remarks: Remarks, *, complete: bool
) -> dict[str, Any]:
    """The node ``trainer`` of a configuration.

    Args:
        content: The file.
        remarks: Takes the keys that are different here.
        complete: Whether keys that the file lacks have MACE_SCF's defaults.
    """
    ours = {entry.name for entry in fields(TrainerConfig)}
    trainer: dict[str, Any] = {}
    for key, default in TRAINER_DEFAULTS.items():
        if key in content or complete:
            trainer[key] = number(content.get(key, default))
    if trainer.get("optimizer", "adam") not in _OPTIMIZERS:
        reason = "the optimizer is adam, adamw or schedulefree, here adam"
        remarks.add("optimizer", trainer.pop("optimizer"), "different", reason)
    if trainer.get("optimizer") == "schedulefree":
        if trainer.get("ema"):
            reason = "schedulefree averages the parameters itself"
            remarks.add("ema", trainer["ema"], "different", reason)
        trainer["ema"] = False
    for key, what, here in _EVALUATIONS:
        if content.get(key) is not None:
            trainer[key] = content[key]
            remarks.add(key, content[key], what, f"trainer.{key}: {here}")
    for key in ("enable_cueq", "enable_oeq"):
        if key in ours and key in content:
            trainer[key] = content[key]
    return trainer
