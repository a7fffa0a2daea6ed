"""What describes a model: its settings and what it takes from the training data. No torch here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from sweep.errors import InputError

__all__ = [
    "FAMILIES",
    "GATES",
    "INTERACTIONS",
    "DataStatistics",
    "LocalChargesConfig",
    "check_settings",
]

FAMILIES = ("local_charges",)
"""Names of the model families that can be trained."""

INTERACTIONS = (
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
)
"""Interaction blocks of mace-torch that keep l > 0 features in the last layer."""

GATES = ("silu", "tanh", "abs")
"""Nonlinearities of the readouts, by their names in mace-torch."""


@dataclass
class LocalChargesConfig:
    """Settings of the family `local_charges`; argument names are those of `mace_run_train`.

    Lengths are in Å. The three keys of the charge part carry the names that MACE_SCF and PolarMACE
    use. The defaults are those of `conf/model/local_charges.yaml`, where each key is explained.
    """

    family: str = "local_charges"
    num_channels: int = 64
    max_L: int = 1
    r_max: float = 5.0
    num_radial_basis: int = 8
    num_cutoff_basis: int = 5
    max_ell: int = 3
    interaction: str = "RealAgnosticResidualInteractionBlock"
    interaction_first: str = "RealAgnosticResidualInteractionBlock"
    num_interactions: int = 2
    correlation: int = 2
    radial_MLP: list[int] = field(default_factory=lambda: [64, 64, 64])
    MLP_irreps: str = "16x0e"
    gate: str = "silu"
    atomic_multipoles_max_l: int = 1
    atomic_multipoles_smearing_width: float = 1.5
    kspace_cutoff_factor: float = 1.5


@dataclass(frozen=True)
class DataStatistics:
    """What a model takes from the training set; it never changes between the trials of a study.

    Attributes:
        atomic_numbers: the elements in ascending order, one column of `node_attrs` each.
        atomic_energies: energy of the isolated atom of each element, eV.
        avg_num_neighbors: mean number of edges per atom within `r_max`.
        atomic_inter_scale: typical size of the interaction energy per atom, eV; MACE takes the root
            mean square of the forces.
        atomic_inter_shift: mean interaction energy per atom, eV.
        mean_charges: mean charge of each element, e: where the charges start from, as the atomic
            energies are where the energies start from. Empty: zeros.
        charge_scale: spread of the charges of an element about that mean, e.
        dipole_scale: root mean square of a component of the atomic dipoles, e·Å.
    """

    atomic_numbers: tuple[int, ...]
    atomic_energies: tuple[float, ...]
    avg_num_neighbors: float
    atomic_inter_scale: float = 1.0
    atomic_inter_shift: float = 0.0
    mean_charges: tuple[float, ...] = ()
    charge_scale: float = 0.1
    dipole_scale: float = 0.05

    def __post_init__(self) -> None:
        n_elements = len(self.atomic_numbers)
        for name, values in (
            ("atomic_energies", self.atomic_energies),
            ("mean_charges", self.mean_charges or self.atomic_numbers),
        ):
            if len(values) != n_elements:
                raise InputError(
                    f"statistics.{name}: {len(values)} values for {n_elements} elements "
                    f"{list(self.atomic_numbers)}; give one per element"
                )
        for name in ("avg_num_neighbors", "atomic_inter_scale", "charge_scale", "dipole_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"statistics.{name}: got {getattr(self, name)}; must be positive")


def check_settings(settings: LocalChargesConfig) -> None:
    """Check every value of a model's settings that needs no data.

    Raises:
        InputError: naming the key, what arrived and what is valid.
    """
    _one_of("family", settings.family, FAMILIES)
    _one_of("interaction", settings.interaction, INTERACTIONS)
    _one_of("interaction_first", settings.interaction_first, INTERACTIONS)
    _one_of("gate", settings.gate, GATES)
    _one_of("atomic_multipoles_max_l", settings.atomic_multipoles_max_l, (0, 1))
    for name, least in (
        ("num_channels", 1),
        ("max_L", 0),
        ("num_radial_basis", 1),
        ("num_cutoff_basis", 2),
        ("max_ell", 0),
        ("num_interactions", 2),
        ("correlation", 1),
    ):
        value = getattr(settings, name)
        if value < least:
            raise InputError(f"model.{name}: got {value}; must be at least {least}")
    for name in ("r_max", "atomic_multipoles_smearing_width", "kspace_cutoff_factor"):
        value = getattr(settings, name)
        if not 0 < value < float("inf"):
            raise InputError(f"model.{name}: got {value}; must be positive and finite")
    if not settings.radial_MLP or min(settings.radial_MLP) < 1:
        raise InputError(
            f"model.radial_MLP: got {list(settings.radial_MLP)}; "
            "must be one or more layer widths of at least 1"
        )
    if settings.max_L < settings.atomic_multipoles_max_l:
        raise InputError(
            f"model.max_L: got {settings.max_L}; must be at least atomic_multipoles_max_l = "
            f"{settings.atomic_multipoles_max_l}: atomic dipoles are read from l = 1 features"
        )
    if settings.max_ell < settings.max_L:
        raise InputError(
            f"model.max_ell: got {settings.max_ell}; must be at least max_L = {settings.max_L}"
        )
    mul, _, irrep = settings.MLP_irreps.partition("x")
    if not mul.isdigit() or int(mul) < 1 or irrep != "0e":
        raise InputError(
            f"model.MLP_irreps: got {settings.MLP_irreps!r}; must be scalars such as '16x0e'"
        )


def _one_of(name: str, value: object, valid: Iterable[object]) -> None:
    """Raise InputError with the nearest match unless `value` is one of `valid`."""
    names = [str(item) for item in valid]
    if str(value) in names:
        return
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"model.{name}: got {value!r}{hint}; valid: {', '.join(names)}")
