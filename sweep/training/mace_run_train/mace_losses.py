"""The losses of ``mace_run_train`` that are made of our terms. Imports no torch.

Each is a fixed combination of terms. They equal ours (the tests compare with mace's own classes) up
to two things: some multiply the dipole by 100, and some ignore the weights of configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MACE_LOSSES", "MaceLoss"]

_UNWEIGHTED = "ignores the weights of configurations (config_weight)"
_UNMASKED = "fits every dipole, also those that are missing or masked: to zero"


@dataclass(frozen=True)
class MaceLoss:
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
MACE_LOSSES = (
    MaceLoss("weighted", _ENERGY_FORCES),
    MaceLoss("stress", {**_ENERGY_FORCES, "stress": ("stress_weight", 1.0)}),
    MaceLoss(
        "universal",
        {
            "energy_per_atom_huber": ("energy_weight", 1.0),
            "forces_huber": ("forces_weight", 1.0),
            "stress_huber": ("stress_weight", 1.0),
        },
        remark=_UNWEIGHTED,
    ),
    MaceLoss(
        "dipole",
        {"dipole_per_atom": ("dipole_weight", 100.0)},
        extra=("--model=AtomicDipolesMACE", "--error_table=DipoleRMSE"),
        two_stages=False,
        remark=f"{_UNWEIGHTED} and {_UNMASKED}",
    ),
    MaceLoss(
        "dipole_polar",
        {
            "dipole_per_atom": ("dipole_weight", 1.0),
            "polarizability": ("polarizability_weight", 1.0),
        },
        extra=("--model=AtomicDielectricMACE", "--error_table=DipolePolarRMSE"),
        remark=f"{_UNWEIGHTED} and {_UNMASKED}",
    ),
    MaceLoss(
        "energy_forces_dipole",
        {**_ENERGY_FORCES, "dipole_per_atom": ("dipole_weight", 100.0)},
        extra=("--model=EnergyDipolesMACE", "--error_table=EnergyDipoleRMSE"),
        remark=f"its dipole term {_UNWEIGHTED} and {_UNMASKED}",
    ),
    MaceLoss("forces_only", {"forces": ("forces_weight", 1.0)}, two_stages=False),
)
