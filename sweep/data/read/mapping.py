"""The mapping of labels to the keys of a data file, and whether they are there. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from sweep.data.labels import Label, find_label, label_names
from sweep.errors import InputError, unknown

__all__ = ["Keys", "check_keys", "check_mapping"]

Keys = frozenset[tuple[str, str]]
"""Pairs of section and key that some configuration has; without those of the weights."""


def check_mapping(info_keys: Mapping[str, str], arrays_keys: Mapping[str, str]) -> dict[Label, str]:
    """The mapping of labels to keys of a file.

    Raises:
        InputError: naming the entry that is not valid.
    """
    mapping: dict[Label, str] = {}
    for section, keys in (("info_keys", info_keys), ("arrays_keys", arrays_keys)):
        for name, key in keys.items():
            label = find_label(name)
            if label is None and name == "charges":  # as mace calls them
                raise InputError(
                    f"{section}.charges: charges of atoms are arrays_keys.atomic_multipoles here, "
                    "with model.atomic_multipoles_max_l=0 where there are no dipoles beside them"
                )
            if label is None:
                raise InputError(unknown("label", name, label_names(), where=section))
            if label.section != section:
                kind = "per atom" if label.per_atom else "per configuration"
                raise InputError(f"{section}.{name}: a label {kind} belongs in {label.section}")
            if label in mapping:
                raise InputError(f"{section}.{name}: label '{label.name}' is mapped twice")
            if not isinstance(key, str) or not key:
                raise InputError(f"{section}.{name}: must be a key of the file; got {key!r}")
            for other, taken in mapping.items():
                if other.key == label.key:
                    raise InputError(
                        f"{section}.{name}: label '{other.name}' is the same quantity; keep one"
                    )
                if taken == key and other.section == section:
                    raise InputError(
                        f"{section}.{name}: key '{key}' is already mapped to label '{other.name}'"
                    )
            mapping[label] = key
    return mapping


def check_keys(mapping: Mapping[Label, str], keys: Keys, file: str | Path) -> None:
    """Check that each mapped key is in at least one configuration.

    Raises:
        InputError: naming the file and the key, with the nearest one.
    """
    for label, key in mapping.items():
        there = sorted(name for section, name in keys if section == label.section)
        if key in there:
            continue
        kind = "column" if label.per_atom else "comment-line key"
        nearest = difflib.get_close_matches(key, there, n=1)
        hint = f"; did you mean '{nearest[0]}'?" if nearest else ";"
        raise InputError(
            f"{file}: no configuration has the {kind} '{key}' that {label.section}.{label.name} "
            f"names{hint} there: {', '.join(there) or 'none'}{_kept(label, str(file))}"
        )


def _kept(label: Label, file: str) -> str:
    """ASE's trajectories lose columns that it has no name for."""
    if not (label.per_atom and file.lower().endswith(".traj")):
        return ""
    return (
        "; ASE's .traj files keep only the columns of its calculators (forces, charges): map "
        "those, or write the frames as extxyz"
    )
