"""The model of a MACE_SCF configuration as a family and its settings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from sweep.errors import InputError
from sweep.mace_scf.names import MODEL_DEFAULTS, MODELS
from sweep.mace_scf.reading import number
from sweep.mace_scf.remarks import Remarks
from sweep.models.families import FAMILIES

__all__ = ["translate_model"]

_RENAMED = {"electrostatic_pbc_method": "pbc_handling"}
_SIZES = ("hidden_irreps", "num_channels", "max_L")


def translate_model(
    content: Mapping[str, Any], where: str, remarks: Remarks, *, own_model: bool, is_scf: bool
) -> tuple[str | None, dict[str, Any]]:
    """The option of the group ``model`` and the values that lie over it.

    Args:
        content: The file.
        where: The file in messages.
        remarks: Takes the keys that have no counterpart.
        own_model: Whether the user chooses another model.
        is_scf: Whether a stage has SCF options, which only one family takes.

    Raises:
        InputError: if the model is no family here, or its size cannot be understood.
    """
    described = {key for key in (*MODEL_DEFAULTS, *_SIZES, "model") if key in content}
    if own_model:
        for key in sorted(described):
            remarks.add(key, content[key], "not used", "the model is chosen on the command line")
        return None, {}
    name = content.get("model")
    family = "fixed_point" if is_scf else None
    if name is not None:
        family = MODELS.get(str(name))
        if family is None or family not in FAMILIES:
            raise InputError(
                f"{where}: model: '{name}' is no family here; choose one of {', '.join(FAMILIES)} "
                "with model=… on the command line, in place of the file's"
            )
        _describe(str(name), family, remarks)
    if family is not None and family not in FAMILIES:
        raise InputError(f"{where}: its stages need the family '{family}', which is not there")
    settings = FAMILIES[family or "local_charges"].settings
    ours = {entry.name for entry in dataclasses.fields(settings)} - {"family"}
    values = {**MODEL_DEFAULTS, **content} if name is not None else dict(content)
    model = _sizes(content, values, where, remarks)
    for key in MODEL_DEFAULTS:
        target = _RENAMED.get(key, key)
        if key == "hidden_irreps" or key not in values:
            continue
        if target in ours:
            model[target] = number(values[key])
        elif key in content:
            remarks.add(key, content[key], "not used", f"the family {settings().family} has none")
    if content.get("compute_polarizability") is True and "polarizability" in ours:
        model["polarizability"] = True
        remarks.add("compute_polarizability", True, "as here", "model.polarizability")
    return family, model


def _sizes(
    content: Mapping[str, Any], values: Mapping[str, Any], where: str, remarks: Remarks
) -> dict[str, Any]:
    """Channels and largest l: MACE takes num_channels with max_L, else hidden_irreps."""
    pair = ("num_channels", "max_L")
    both = all(content.get(key) is not None for key in pair)
    for key in ("hidden_irreps",) if both else pair:
        if content.get(key) is not None:
            other = "num_channels and max_L" if both else "hidden_irreps"
            remarks.add(key, content[key], "not used", f"MACE_SCF takes {other}")
    if both:
        return {key: content[key] for key in pair}
    if values.get("hidden_irreps") is not None:
        return _hidden(str(values["hidden_irreps"]), where)
    return {}


def _describe(name: str, family: str, remarks: Remarks) -> None:
    if name == "LocalCharges":
        reason = "there multipoles are read linearly and unscaled: other parameters, first losses"
        remarks.add("model", name, "different", reason)
    elif name == "MACE":
        remarks.add("model", name, "different", f"the family {family} scales and shifts energies")


def _hidden(text: str, where: str) -> dict[str, int]:
    """Channels and largest l of features such as ``64x0e + 64x1o``."""
    parts = [re.fullmatch(r"\s*(\d+)x(\d+)([eo])\s*", part) for part in text.split("+")]
    found = [(int(m[1]), int(m[2]), m[3]) for m in parts if m is not None]
    expected = [(found[0][0], i, "eo"[i % 2]) for i in range(len(found))] if found else []
    if len(found) != len(parts) or found != expected:
        raise InputError(
            f"{where}: hidden_irreps: must have as many channels for each l from 0, "
            f"as in '64x0e + 64x1o'; got '{text}'"
        )
    return {"num_channels": found[0][0], "max_L": len(found) - 1}
