"""Weights as a ``train_schedule`` of MACE_SCF.

MACE_SCF takes a bare weight only as a float, and a mapping only for the terms that are classes
there: those must have an option besides the weight, the others must have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.data.type_weights import check_type_weights
from sweep.errors import InputError, unknown
from sweep.export.winner import Winner
from sweep.mace_scf.program import switches
from sweep.records.weights_file import comments, term_entry, to_yaml

__all__ = ["mace_scf"]

_FUNCTIONS = (
    "energy_per_atom", "forces", "stress", "atomic_multipoles", "total_charge",
    "total_charge_per_atom", "dipole", "dipole_per_atom", "polarizability", "fermi_level",
    "fermi_level_per_atom", "esps", "field_features", "cluster_virial", "cluster_virial_per_atom",
    "molecular_forces", "fermi_level_gradient", "final_terms_fixedpoint_scf_stability",
)  # fmt: skip
_CLASSES = (
    "fixedpoint_scf_stability", "energy_per_atom_huber", "forces_huber", "stress_huber",
    "atomic_multipoles_huber",
)  # fmt: skip
_MOLECULES = ("molecular_forces", "cluster_virial", "cluster_virial_per_atom")


def mace_scf(winner: Winner) -> str:
    """The block ``train_schedule`` of a MACE_SCF ``config.yaml``, and what else the weights need.

    Those are its switches, and the weights of types of configurations where the trial has any.

    Raises:
        InputError: naming a term or an option that MACE_SCF does not have.
    """
    remarks = winner.comments()
    schedule: dict[int, dict[str, Any]] = {}
    family = _family(winner)
    for index, stage in enumerate(winner.stages):
        loss = {}
        for name, term in stage["loss"].items():
            if name == "esps" and family == "local_charges":
                remarks.append(
                    f"stage {index}: esps (weight {term['weight']:g}) is left out: MACE_SCF's "
                    "LocalCharges returns no potentials"
                )
            elif float(term["weight"]) == 0.0:  # MACE_SCF would evaluate it, and need its label
                remarks.append(f"stage {index}: {name} has weight 0 and is left out")
            else:
                loss[name] = _term(f"stage {index}", name, term)
        schedule[index] = {
            "name": str(stage["name"]),
            "start": int(stage["start"]),
            "end": int(stage["end"]),
            "loss": loss,
            "lr": float(stage["lr"]),
        }
        options = stage.get("fixed_point_training_options")
        if options is not None:
            schedule[index]["fixed_point_training_options"] = options
        if not loss:
            raise InputError(f"stage {index}: no term is left that MACE_SCF's model can train")
    if schedule[0]["end"] == 0:
        remarks.append("stage 0 ends at epoch 0: MACE_SCF skips such a first stage")
    if any(name in _MOLECULES for stage in schedule.values() for name in stage["loss"]):
        remarks.append(
            "the molecule of an atom is molID in MACE_SCF's arrays_keys, and the weight of "
            "configurations config_molID_weight; it does not read cluster_batch"
        )
    on = switches({}, [stage["loss"] for stage in winner.stages])
    if family != "fixed_point":
        on.pop("return_electrostatic_potentials", None)
    huber = sorted({n for stage in schedule.values() for n in stage["loss"] if "_huber" in n})
    if huber:
        remarks.append(
            f"{', '.join(huber)}: terms of users' branches of MACE_SCF; ACEsuit/mace-scf has none"
        )
    head = comments(remarks)
    return head + to_yaml({**on, **_type_weights(winner), "train_schedule": schedule})


def _type_weights(winner: Winner) -> dict[str, Any]:
    """``config_type_weights``, a key at its top level."""
    heads = (winner.config or {}).get("heads")
    head = next(iter(heads.values()), None) if isinstance(heads, Mapping) else None
    given = head.get("config_type_weights") if isinstance(head, Mapping) else None
    weights = check_type_weights(given, "heads: config_type_weights")
    return {"config_type_weights": weights} if weights else {}


def _family(winner: Winner) -> str | None:
    """The family of the trial's model, where its configuration tells it."""
    model = (winner.config or {}).get("model")
    family = model.get("family") if isinstance(model, Mapping) else None
    return family if isinstance(family, str) else None


def _term(where: str, name: str, term: Mapping[str, Any]) -> float | dict[str, Any]:
    options = {key: value for key, value in term.items() if key != "weight"}
    if name in _CLASSES:  # always a mapping
        return {"weight": float(term["weight"]), **options}
    if name not in _FUNCTIONS:
        raise InputError(
            unknown("loss term of MACE_SCF", name, (*_FUNCTIONS, *_CLASSES), where=where)
        )
    if options:
        given = ", ".join(f"{key}: {value}" for key, value in options.items())
        raise InputError(f"{where}: {name} takes no options in MACE_SCF; this trial has {given}")
    return term_entry(term)
