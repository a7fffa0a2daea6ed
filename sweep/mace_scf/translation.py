"""From a MACE_SCF configuration to the configuration of the same study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

import losses
from sweep.config.foreign import run_names
from sweep.config.schema import TrainerConfig
from sweep.data.labels import find_label, label_names
from sweep.errors import InputError
from sweep.mace_scf.model import translate_model
from sweep.mace_scf.names import (
    FIXED,
    LABELS_ELSEWHERE,
    NOT_USED,
    STAGE_NOT_USED,
    known_names,
)
from sweep.mace_scf.reading import literal, number
from sweep.mace_scf.remarks import Remarks
from sweep.mace_scf.trainer import translate_trainer
from sweep.quantities import quantity_of

__all__ = [
    "Translation",
    "plain",
    "quantities_of",
    "translate",
    "translate_heads",
    "translate_schedule",
]

# MACE_SCF's name of a label -> ours
_ALIASES = {"electrostatic_potentials": "esps", "molID": "cluster_batch"}
_SCF_KEYS = (
    "num_scf_steps", "scf_tolerance", "mixing_parameter", "constant_charge", "initial_density",
    "initial_fermi_level", "use_autograd_forces",
)  # fmt: skip


@dataclass
class Translation:
    """What a file becomes.

    Attributes:
        overlay: Values at the top level of our configuration.
        model: The option of the group ``model`` to start from, None: the default or the user's.
        remarks: What was not taken as it is, and why.
    """

    overlay: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    remarks: Remarks = field(default_factory=Remarks)


def translate(content: Mapping[str, Any], where: str, *, own_model: bool = False) -> Translation:
    """Translate a configuration.

    Where the file names a ``model``, keys that it lacks have MACE_SCF's defaults; else model and
    training are described on MACE_SCF's command line, and ours are those of this program.

    Args:
        content: The file as :func:`sweep.mace_scf.reading.read_file` returns it.
        where: The file in messages.
        own_model: Whether the user chooses another model: that of the file is left out.

    Raises:
        InputError: if a key is unknown, or a value cannot be understood.
    """
    unknown_keys = [key for key in content if key not in known_names()]
    if unknown_keys:
        raise InputError(f"{where}: {_unknown('keys', unknown_keys, known_names())}")
    result = Translation()
    remarks = result.remarks
    complete = content.get("model") is not None
    stages = translate_schedule(content, where, remarks)
    result.overlay = {
        "heads": translate_heads(content, where, remarks, complete=complete),
        "train_schedule": stages,
        "trainer": translate_trainer(content, remarks, complete=complete),
    }
    if metrics := quantities_of(stages):
        result.overlay["objective"] = {"metrics": metrics}
    if content.get("seed") is not None or complete:
        # there the seed of the training is that of the random split, too
        result.overlay["seed"] = result.overlay["split_seed"] = content.get("seed", 123)
    if content.get("valid_set_seed") is not None:
        result.overlay["split_seed"] = content["valid_set_seed"]
    if content.get("name") is not None:
        result.overlay |= run_names(content["name"], "mace_scf")
    is_scf = any(stage.get("fixed_point_training_options") for stage in stages.values())
    result.model, model = translate_model(
        content, where, remarks, own_model=own_model, is_scf=is_scf
    )
    if model:
        result.overlay["model"] = model
    _unused(content, remarks)
    result.overlay = plain(result.overlay)
    return result


def quantities_of(stages: Mapping[str, Any]) -> list[str]:
    """The quantities that the terms of translated stages fit."""
    found = dict.fromkeys(
        quantity.name
        for stage in stages.values()
        for term in stage["loss"] or {}
        # The total charge is imposed by most models and then has no error.
        if term in losses.names()
        and (quantity := quantity_of(losses.get(term))) is not None
        and not quantity.summed
    )
    return list(found)


def translate_heads(
    content: Mapping[str, Any],
    where: str,
    remarks: Remarks,
    *,
    complete: bool,
    strict: bool = True,
) -> dict[str, Any]:
    """Data files and the names of their labels as ours.

    Args:
        content: The file.
        where: The file in messages.
        remarks: Takes the labels that are not read.
        complete: Whether keys that the file lacks have MACE_SCF's defaults.
        strict: Whether a label that is unknown here is an error; else it is left out.

    Raises:
        InputError: if a label is unknown, or there is not one head.
    """
    heads = content.get("heads")
    if not isinstance(heads, Mapping) or len(heads) != 1:
        raise InputError(f"{where}: heads: must hold one head with info_keys and arrays_keys")
    ((name, head),) = heads.items()
    head = head if isinstance(head, Mapping) else {}
    sections = ("info_keys", "arrays_keys")
    strange = [key for key in head if key not in sections]
    if strange:
        raise InputError(f"{where}: heads.{name}: {_unknown('keys', strange, sections)}")
    entry: dict[str, Any] = {
        key: content[key] for key in ("train_file", "valid_file", "test_file", "valid_fraction")
        if content.get(key) is not None
    }  # fmt: skip
    entry.setdefault("train_file", "???")
    if not entry.get("valid_file"):
        entry.setdefault("valid_fraction", 0.1)
    if "E0s" in content or complete:
        given = content.get("E0s")
        # The text of a mapping: its keys are numbers, which no configuration can have.
        entry["E0s"] = str(given) if isinstance(given, Mapping) else given
    if weights := _type_weights(content.get("config_type_weights"), where):
        entry["config_type_weights"] = weights
    for section in sections:
        key = f"heads.{name}.{section}"
        entry[section] = _labels(head.get(section) or {}, key, where, remarks, strict=strict)
    return {str(name): entry}


def _type_weights(given: Any, where: str) -> dict[str, Any]:
    """Weights of types; that of configurations without a type is 1 in its default, as anyway."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: config_type_weights: must map types to weights; got {given!r}")
    weights = {str(name): number(weight) for name, weight in given.items()}
    return {} if weights == {"Default": 1.0} else weights


def _labels(given: Any, key: str, where: str, remarks: Remarks, *, strict: bool) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: {key}: must map labels to keys of the file; got {given!r}")
    labels: dict[str, str] = {}
    strange = []
    for label, file_key in given.items():
        name = _ALIASES.get(str(label), str(label))
        if literal(file_key) is None:  # MACE_SCF's way to say that there is none
            remarks.add(f"{key}.{label}", file_key, "as here", "no such label")
        elif name in LABELS_ELSEWHERE:
            remarks.add(f"{key}.{label}", file_key, "not used", LABELS_ELSEWHERE[name])
        elif find_label(name) is not None:
            labels[name] = str(file_key)
        elif name.endswith("_weight") and find_label(name.removesuffix("_weight")) is not None:
            if file_key != f"config_{name}":
                raise InputError(
                    f"{where}: {key}.{label}: this weight is read from 'config_{name}' of the data "
                    f"files; got '{file_key}'"
                )
            remarks.add(f"{key}.{label}", file_key, "as here", "read from the data files anyway")
        else:
            strange.append(str(label))
    if strange and strict:
        valid = [*label_names(), *LABELS_ELSEWHERE, *_ALIASES]
        raise InputError(f"{where}: {key}: {_unknown('labels', strange, valid)}")
    return labels


def translate_schedule(
    content: Mapping[str, Any], where: str, remarks: Remarks, *, strict: bool = True
) -> dict[str, Any]:
    """The stages of a file as ours.

    Args:
        content: The file.
        where: The file in messages.
        remarks: Takes the keys that have no counterpart.
        strict: Whether a key of a stage that MACE_SCF does not have, as far as is known here, is an
            error.

    Raises:
        InputError: if it is no schedule.
    """
    schedule = content.get("train_schedule")
    if not isinstance(schedule, Mapping) or not schedule:
        raise InputError(f"{where}: train_schedule: must map 0, 1, … to stages; got {schedule!r}")
    stages = {}
    for index, given in schedule.items():
        key = f"train_schedule.{index}"
        if not isinstance(given, Mapping):
            raise InputError(f"{where}: {key}: must be a stage with name, start, end and loss")
        stage: dict[str, Any] = {"lr": 0.01}  # MACE_SCF's default
        strange = []
        for name, value in given.items():
            if name in ("name", "start", "end"):
                stage[name] = value
            elif name == "lr":
                stage["lr"] = number(value)
            elif name == "loss":
                stage["loss"] = _loss(literal(value), f"{key}.loss", where)
            elif name in ("fixed_point_training_options", "scf_training_options"):
                stage["fixed_point_training_options"] = _scf_options(literal(value))
            elif name in STAGE_NOT_USED:
                remarks.add(f"{key}.{name}", value, "not used", STAGE_NOT_USED[name])
            elif str(name).endswith("_lr"):
                remarks.add(f"{key}.{name}", value, "not used", FIXED["lr_params_factors"][1])
            else:
                strange.append(str(name))
        if strange and strict:
            valid = ["name", "start", "end", "lr", "loss", "fixed_point_training_options"]
            raise InputError(
                f"{where}: {key}: {_unknown('keys', strange, [*valid, *STAGE_NOT_USED])}"
            )
        if "loss" not in stage:
            raise InputError(f"{where}: {key}: has no loss")
        stages[str(index)] = stage
    return stages


def _loss(given: Any, key: str, where: str) -> dict[str, Any]:
    """The terms with weight and options, so that each of them can be overridden and searched."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: {key}: must map terms to weights; got {given!r}")
    loss = {}
    for name, term in given.items():
        options = term if isinstance(term, Mapping) else {"weight": term}
        # A term that is unknown here is an error of the composed configuration: so it can be
        # taken out on the command line.
        known = str(name) in losses.names()
        defaults = dict(losses.get(str(name)).options) if known else {}
        loss[str(name)] = {**defaults, **{k: number(v) for k, v in options.items()}}
    return loss


def _scf_options(given: Any) -> Any:
    """MACE_SCF's older form has the options of the iteration beside the mode."""
    if not isinstance(given, Mapping):
        return given
    options = {key: value for key, value in given.items() if key not in _SCF_KEYS}
    scf = {key: number(value) for key, value in given.items() if key in _SCF_KEYS}
    if scf and options.get("mode") != "direct":
        options["scf"] = {**scf, **(options.get("scf") or {})}
    elif isinstance(options.get("scf"), Mapping):
        options["scf"] = {key: number(value) for key, value in options["scf"].items()}
    return options


def _unused(content: Mapping[str, Any], remarks: Remarks) -> None:
    """Remark on all keys that none of the others has taken."""
    ours = {entry.name for entry in fields(TrainerConfig)}
    for key, value in content.items():
        if key in NOT_USED and key not in ours and key not in remarks:
            remarks.add(key, value, "not used", NOT_USED[key])
        elif key in FIXED and key not in remarks:
            same, reason = FIXED[key]
            equal = number(value) == same or (value is None and same is None)
            remarks.add(key, value, "as here" if equal else "different", reason)


def _unknown(what: str, names: Iterable[str], valid: Iterable[str]) -> str:
    """All unknown names, each with the nearest known one."""
    valid = sorted(valid)
    parts = []
    for name in names:
        nearest = get_close_matches(name, valid, n=1)
        parts.append(f"'{name}'" + (f" (did you mean '{nearest[0]}'?)" if nearest else ""))
    return f"MACE_SCF has no {what} {', '.join(parts)}"


def plain(value: Any) -> Any:
    """Values that OmegaConf takes as they are: no interpolation, no tuples, keys of text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str) and value != "???":
        return value.replace("${", r"\${")
    return value
