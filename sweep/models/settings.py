"""What describes a model: its settings and what it takes from the training data. No torch here.

Every family has a dataclass of settings, its keys those of the family's files in `conf/model`. What
a key means is said there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.errors import InputError
from sweep.models.electrostatics.boundaries import PBC_HANDLING, check_boundaries

if TYPE_CHECKING:
    from sweep.data.read.configurations import Configuration

__all__ = [
    "GATES",
    "INTERACTIONS",
    "BackboneConfig",
    "ChargesConfig",
    "DataStatistics",
    "LocalChargesConfig",
    "MaceConfig",
    "SourcesConfig",
    "at_least",
    "one_of",
    "positive",
]

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
class BackboneConfig:
    """Settings of the MACE backbone; argument names are those of `mace_run_train`, lengths in Å."""

    family: str = ""
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
    start_from: str | None = None
    trust_file: bool = False

    @property
    def multipoles_max_l(self) -> int:
        """Largest l of the reference multipoles that a batch holds: what the model compares with.

        A model without multipoles takes all that a file can have, of which it reads none.
        """
        return 0

    def check(self) -> None:
        """Check every value that needs no data.

        Raises:
            InputError: naming the key, what arrived and what is valid.
        """
        one_of("interaction", self.interaction, INTERACTIONS)
        one_of("interaction_first", self.interaction_first, INTERACTIONS)
        one_of("gate", self.gate, GATES)
        for name, least in (
            ("num_channels", 1),
            ("max_L", 0),
            ("num_radial_basis", 1),
            ("num_cutoff_basis", 2),
            ("max_ell", 0),
            ("num_interactions", 2),
            ("correlation", 1),
        ):
            at_least(name, getattr(self, name), least)
        positive("r_max", self.r_max)
        if not self.radial_MLP or min(self.radial_MLP) < 1:
            raise InputError(
                f"model.radial_MLP: got {list(self.radial_MLP)}; "
                "must be one or more layer widths of at least 1"
            )
        if self.max_ell < self.max_L:
            raise InputError(
                f"model.max_ell: got {self.max_ell}; must be at least max_L = {self.max_L}"
            )
        mul, _, irrep = self.MLP_irreps.partition("x")
        if not mul.isdigit() or int(mul) < 1 or irrep != "0e":
            raise InputError(
                f"model.MLP_irreps: got {self.MLP_irreps!r}; must be scalars such as '16x0e'"
            )

    def check_configuration(self, configuration: Configuration) -> None:
        """Check that the model can take a configuration of any split.

        Raises:
            InputError: it cannot; the message names file and configuration.
        """

    def stage_arguments(self, key: str, stage: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments of the model's call in one stage, from the stage's own keys.

        Args:
            key: the stage in error messages, for example ``train_schedule.1``.
            stage: its entry in the schedule.

        Raises:
            InputError: if a key of the stage is not for this family, or its value is not valid.
        """
        if stage.get("fixed_point_training_options") is not None:
            raise InputError(
                f"{key}.fixed_point_training_options: only for the model family 'fixed_point'; "
                f"this model's is '{self.family}'"
            )
        return {}


@dataclass
class MaceConfig(BackboneConfig):
    """Settings of the family `mace`."""

    family: str = "mace"


@dataclass
class ChargesConfig(BackboneConfig):
    """Settings of a model with atomic multipoles, by the names of MACE_SCF and PolarMACE."""

    atomic_multipoles_max_l: int = 1
    atomic_multipoles_smearing_width: float = 1.5
    kspace_cutoff_factor: float = 1.5

    @property
    def multipoles_max_l(self) -> int:
        """Largest l of the model's multipoles."""
        return self.atomic_multipoles_max_l

    def check(self) -> None:
        """See `BackboneConfig.check`."""
        one_of("atomic_multipoles_max_l", self.atomic_multipoles_max_l, (0, 1))
        positive("atomic_multipoles_smearing_width", self.atomic_multipoles_smearing_width)
        positive("kspace_cutoff_factor", self.kspace_cutoff_factor)
        if self.max_L < self.atomic_multipoles_max_l:
            raise InputError(
                f"model.max_L: got {self.max_L}; must be at least atomic_multipoles_max_l = "
                f"{self.atomic_multipoles_max_l}: atomic dipoles are read from l = 1 features"
            )
        super().check()

    def check_configuration(self, configuration: Configuration) -> None:
        """Its electrostatics knows molecules and crystals, no slabs or wires."""
        if 0 < configuration.pbc.sum() < 3:
            flags = " ".join("FT"[int(flag)] for flag in configuration.pbc)
            raise InputError(
                f'{configuration.where}: pbc="{flags}"; the model family {self.family!r} needs a '
                "molecule (F F F) or a cell that is periodic in all directions (T T T)"
            )
        check_boundaries("auto", configuration)


@dataclass
class SourcesConfig(ChargesConfig):
    """Settings of a model whose Coulomb energy is computed here, by the names of MACE_SCF."""

    include_electrostatic_self_interaction: bool = False


@dataclass
class LocalChargesConfig(SourcesConfig):
    """Settings of the family `local_charges`."""

    family: str = "local_charges"
    pbc_handling: str = "auto"
    polarizability: bool = False

    def check(self) -> None:
        """See `BackboneConfig.check`."""
        one_of("pbc_handling", self.pbc_handling, PBC_HANDLING)
        super().check()
        if self.polarizability and self.max_L < 1:
            raise InputError(
                f"model.polarizability: needs max_L of at least 1; got max_L = {self.max_L}: its "
                "anisotropy is read from l > 0 features"
            )

    def check_configuration(self, configuration: Configuration) -> None:
        """Its boundary conditions are chosen by `pbc_handling`."""
        check_boundaries(self.pbc_handling, configuration)


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
        mean_polarizabilities: isotropic polarizability per atom of each element, as labelled, where
            the polarizabilities start from. Empty: zeros.
        polarizability_scale: spread of the polarizability per atom about that, as labelled.
    """

    atomic_numbers: tuple[int, ...]
    atomic_energies: tuple[float, ...]
    avg_num_neighbors: float
    atomic_inter_scale: float = 1.0
    atomic_inter_shift: float = 0.0
    mean_charges: tuple[float, ...] = ()
    charge_scale: float = 0.1
    dipole_scale: float = 0.05
    mean_polarizabilities: tuple[float, ...] = ()
    polarizability_scale: float = 1.0

    def __post_init__(self) -> None:
        n_elements = len(self.atomic_numbers)
        for name, values in (
            ("atomic_energies", self.atomic_energies),
            ("mean_charges", self.mean_charges or self.atomic_numbers),
            ("mean_polarizabilities", self.mean_polarizabilities or self.atomic_numbers),
        ):
            if len(values) != n_elements:
                raise InputError(
                    f"statistics.{name}: {len(values)} values for {n_elements} elements "
                    f"{list(self.atomic_numbers)}; give one per element"
                )
        for name in (
            "avg_num_neighbors",
            "atomic_inter_scale",
            "charge_scale",
            "dipole_scale",
            "polarizability_scale",
        ):
            if not getattr(self, name) > 0:
                raise InputError(f"statistics.{name}: got {getattr(self, name)}; must be positive")


def at_least(name: str, value: float, least: float) -> None:
    """Raise InputError unless the value of the key `model.<name>` is at least `least`."""
    if value < least:
        raise InputError(f"model.{name}: got {value}; must be at least {least}")


def positive(name: str, value: float) -> None:
    """Raise InputError unless the value of the key `model.<name>` is positive and finite."""
    if not 0 < value < float("inf"):
        raise InputError(f"model.{name}: got {value}; must be positive and finite")


def one_of(name: str, value: object, valid: Iterable[object]) -> None:
    """Raise InputError with the nearest match unless `value` is one of `valid`."""
    names = [str(item) for item in valid]
    if str(value) in names:
        return
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"model.{name}: got {value!r}{hint}; valid: {', '.join(names)}")
