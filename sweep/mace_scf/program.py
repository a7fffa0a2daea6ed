"""A MACE_SCF configuration for MACE_SCF itself: one file per trial, with the trial's weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sweep.config.foreign import run_names
from sweep.config.stages import Stage
from sweep.errors import InputError
from sweep.mace_scf.reading import literal, number, plain_name, read_as_written, read_text
from sweep.mace_scf.remarks import Remarks
from sweep.mace_scf.translation import (
    Translation,
    plain,
    quantities_of,
    translate_heads,
    translate_schedule,
)

__all__ = ["MEASURED", "switches", "translate_for_program", "trial_file"]

MEASURED = {
    "energy": "e_per_atom",
    "forces": "f",
    "stress": "stress",
    "atomic_multipoles": "dma",
    "total_charge": "total_charge",
    "fermi_level": "fermi_level",
    "dipole": "mu",
    "polarizability": "polarizability",
}
"""Our quantities and what MACE_SCF calls their errors, after ``rmse_`` or ``mae_``; same units."""

_SEED = 123  # MACE_SCF's default
_FILES = ("train_file", "valid_file", "test_file")
_PATHS = ("test_dir", "statistics_file", "foundation_model", "pt_train_file", "pt_valid_file")
_OURS = {
    **dict.fromkeys(
        ("work_dir", "log_dir", "model_dir", "checkpoints_dir", "results_dir", "config"),
        "each trial has its folder",
    ),
    "restart_latest": "its restarts are another training; a stopped trial starts afresh",
    "distributed": "a trial is one process, whose batches are batch_size and not that for each GPU",
}
_STAGE = ("start", "end", "lr")
_SCF = ("fixed_point_training_options", "scf_training_options")


def translate_for_program(text: str, where: str) -> Translation:
    """What of a file is ours when MACE_SCF itself reads it: stages with weights, labels, seed.

    Args:
        text: Content of the file.
        where: The file in messages.

    Raises:
        InputError: if it cannot be read, or has no schedule.
    """
    content = read_text(text, where)
    result, silent = Translation(), Remarks()
    for key, reason in _OURS.items():
        if content.get(key) not in (None, False):
            result.remarks.add(key, content[key], "not used", reason)
    stages = translate_schedule(content, where, silent, strict=False)
    seed = content.get("seed", _SEED)
    split_seed = content.get("valid_set_seed")
    result.overlay = {
        "train_schedule": stages,
        "trainer": {"config": text},
        "seed": seed,
        "split_seed": seed if split_seed is None else split_seed,
    }
    if str(content.get("device", "cpu")).startswith("cuda"):
        result.overlay["trainer"]["device"] = content["device"]
    found = quantities_of(stages)
    if metrics := [name for name in found if name in MEASURED]:
        result.overlay["objective"] = {"metrics": metrics}
    for name in found:
        if name not in MEASURED:
            reason = "MACE_SCF trains on it and tells no error of it: no part of the score"
            result.remarks.add("objective.metrics", name, "not used", reason)
    if content.get("name") is not None:
        result.overlay |= run_names(content["name"], "mace_scf")
    try:
        heads = translate_heads(content, where, silent, complete=True, strict=False)
        for head in heads.values():  # it reads them from its own file
            head.pop("config_type_weights", None)
        result.overlay["heads"] = heads
    except InputError as error:
        reason = f"the spread of the labels is not known: trainer.scales can say it ({error})"
        result.remarks.add("heads", "", "not used", reason)
    result.overlay = plain(result.overlay)
    return result


def trial_file(
    text: str,
    stages: Sequence[Stage],
    scf: Sequence[Any],
    *,
    name: str,
    seed: int,
    split_seed: int,
    device: str,
    files: Mapping[str, str | None],
    changes: Mapping[str, Any],
) -> str:
    """The ``config.yaml`` of a trial: the user's file with the trial's weights in it.

    Args:
        text: The user's file.
        stages: The stages of the trial, with its weights.
        scf: Of each stage its ``fixed_point_training_options``.
        name: Name of the run.
        seed: Its seed.
        split_seed: Seed of the random split; taken where the file knows a seed of its own for it.
        device: ``cpu`` or ``cuda``.
        files: ``train_file``, ``valid_file`` and ``test_file``, where they are known.
        changes: Further keys at the top level, which take the place of those of the file.

    Raises:
        InputError: if the stages are not those of the file.
    """
    read = read_text(text, "config")
    schedule = read["train_schedule"]
    if len(schedule) != len(stages):
        raise InputError(
            f"train_schedule: has {len(stages)} stages, the file of MACE_SCF has {len(schedule)}"
        )
    before = translate_schedule(read, "config", Remarks(), strict=False)
    own: dict[str, Any] = {
        "train_schedule": {
            int(index): _stage(dict(given), stage, options, before[str(index)])
            for (index, given), stage, options in zip(schedule.items(), stages, scf, strict=True)
        },
        "name": name,
        "seed": seed,
        "device": device,
    }
    if "valid_set_seed" in read:
        own["valid_set_seed"] = split_seed
    for key in _FILES:
        path = files.get(key) or read.get(key)
        if path is not None:
            own[key] = _absolute(path)
    for key in _PATHS:
        if isinstance(read.get(key), str) and Path(read[key]).exists():
            own[key] = _absolute(read[key])
    own |= {**switches(read, [stage.loss for stage in stages]), **changes}
    written = read_as_written(text, "config")
    names = {plain_name(key): key for key in written}
    content = {key: value for key, value in written.items() if plain_name(key) not in _OURS}
    for key, value in own.items():
        there = names.get(plain_name(key), key)
        if isinstance(value, list) and not isinstance(content.get(there), list):
            value = str(value)  # MACE_SCF's parser takes lists for a few keys only
        content[there] = value
    return yaml.safe_dump(_for_yaml(content), sort_keys=False, allow_unicode=True)


def switches(
    content: Mapping[str, Any], losses: Iterable[Mapping[str, Mapping[str, Any]]]
) -> dict[str, bool]:
    """The switches of MACE_SCF that the terms need and the file does not have on.

    Args:
        content: The file.
        losses: Of every stage its terms, with their weights.
    """
    terms = {name for loss in losses for name, term in loss.items() if term["weight"] > 0}
    needed = {
        "compute_stress": any("stress" in name or "virial" in name for name in terms),
        "return_electrostatic_potentials": "esps" in terms,
    }
    return {key: True for key, wanted in needed.items() if wanted and content.get(key) is not True}


def _stage(
    given: dict[str, Any], stage: Stage, scf: Any, before: Mapping[str, Any]
) -> dict[str, Any]:
    """A stage of the file with what the trial has otherwise."""
    for key in _STAGE:
        if getattr(stage, key) != number(before.get(key)):
            given[key] = getattr(stage, key)
    if scf is not None and scf != before.get(_SCF[0]):
        given = {key: value for key, value in given.items() if key not in _SCF} | {_SCF[0]: scf}
    own = _mapping_of(given.get("loss"))
    given["loss"] = {
        name: _term(own.get(name), term, before["loss"].get(name))
        for name, term in stage.loss.items()
        if term["weight"] != 0  # MACE_SCF would evaluate it, and need its label
    }
    return given


def _mapping_of(loss: Any) -> dict[str, Any]:
    """The ``loss`` of a stage as a mapping, also where the file gives it as text."""
    found = literal(loss)
    return dict(found) if isinstance(found, Mapping) else {}


def _term(
    own: Any, term: Mapping[str, Any], before: Mapping[str, Any] | None
) -> float | dict[str, Any]:
    """A term as the file writes it: a bare weight, or a mapping with the options it has there."""
    weight = float(term["weight"])
    options = {k: v for k, v in term.items() if k != "weight"}
    if before is not None:
        kept = own if isinstance(own, Mapping) else {}
        options = {k: v for k, v in options.items() if k in kept or v != before.get(k)}
    else:  # added on the command line; a text option has no counterpart there
        options = {k: v for k, v in options.items() if not isinstance(v, str)}
    if isinstance(own, Mapping) or options:
        return {"weight": weight, **options}
    return weight


def _absolute(path: Any) -> Any:
    return str(Path(str(path)).expanduser().absolute())


def _for_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _for_yaml(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_for_yaml(item) for item in value]
    return value
