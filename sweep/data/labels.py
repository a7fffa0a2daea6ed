"""The labels that a configuration can carry: names, shapes, units and weights. Imports no torch.

The *name* is what users write in ``info_keys`` and ``arrays_keys`` and in ``config_<name>_weight``;
the *key* is what the label is called in a batch. They differ for the atomic multipoles only, as in
MACE_SCF.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LABELS", "VIRIALS", "WEIGHTS", "Label", "Weight", "find_label", "label_names"]


@dataclass(frozen=True)
class Label:
    """One labelled quantity.

    Attributes:
        name: in the users' mapping.
        key: in a batch.
        shape: of one configuration; ``n`` stands for its atoms, ``C`` for a number of multipoles.
        per_atom: whether it is mapped in ``arrays_keys`` (else in ``info_keys``).
        unit: as in LOSSES' tables.
        aliases: further names accepted in the mapping.
        integer: whether the values are whole numbers.
    """

    name: str
    key: str
    shape: tuple[int | str, ...]
    per_atom: bool
    unit: str
    aliases: tuple[str, ...] = ()
    integer: bool = False

    @property
    def section(self) -> str:
        """The mapping in which it stands."""
        return "arrays_keys" if self.per_atom else "info_keys"


@dataclass(frozen=True)
class Weight:
    """A weight that each configuration has for one property.

    Attributes:
        key: in a batch.
        labels: batch keys of the labels without all of which the weight is zero.
        shape: of one configuration.
        names: a file may give it as ``config_<name>_weight``, for any of these names.
    """

    key: str
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    names: tuple[str, ...]


def _index(labels: tuple[Label, ...]) -> dict[str, Label]:
    return {label.key: label for label in labels}


LABELS: dict[str, Label] = _index(
    (
        Label("energy", "energy", (), False, "eV"),
        Label("forces", "forces", ("n", 3), True, "eV/Å"),
        Label("stress", "stress", (3, 3), False, "eV/Å³"),
        Label(
            "atomic_multipoles",
            "density_coefficients",
            ("n", "C"),
            True,
            "e·Å^l",
            aliases=("density_coefficients",),
        ),
        Label("esps", "esps", ("n",), True, "V"),
        Label("total_charge", "total_charge", (), False, "e"),
        # multiplicity, 2S + 1; read by models that have spins, which take 1 where it is missing
        Label("total_spin", "total_spin", (), False, ""),
        Label("dipole", "dipole", (3,), False, "e·Å"),
        Label("polarizability", "polarizability", (3, 3), False, "as labelled"),
        Label("fermi_level", "fermi_level", (), False, "eV"),
        Label("external_field", "external_field", (3,), False, "V/Å"),
        Label("cluster_batch", "cluster_batch", ("n",), True, "", integer=True),
    )
)
"""All labels by their key in a batch."""

_MULTIPOLES = ("atomic_multipoles", "density_coefficients")

WEIGHTS: dict[str, Weight] = {
    weight.key: weight
    for weight in (
        Weight("energy_weight", ("energy",), (), ("energy",)),
        Weight("forces_weight", ("forces",), (), ("forces",)),
        Weight("stress_weight", ("stress",), (), ("stress",)),
        Weight("density_coefficients_weight", ("density_coefficients",), (), _MULTIPOLES),
        Weight("dipole_weight", ("dipole",), (3,), ("dipole",)),
        Weight("polarizability_weight", ("polarizability",), (3, 3), ("polarizability",)),
        Weight(
            "electrostatic_potentials_weight",
            ("density_coefficients",),
            (),
            ("electrostatic_potentials",),
        ),
        # for potentials that are labels themselves, where they are labelled
        Weight("esps_weight", ("esps",), (), ("esps", "electrostatic_potentials")),
        Weight("cluster_loss_weight", ("forces", "cluster_batch"), (), ("cluster_loss",)),
        Weight("total_charge_weight", ("total_charge",), (), ("total_charge",)),
        Weight("fermi_level_weight", ("fermi_level",), (), ("fermi_level",)),
    )
}
"""All property weights by their key in a batch; each is 1 where its labels are and nothing else is
given."""


VIRIALS = Label("virials", "stress", (3, 3), False, "eV", aliases=("virial",))
"""Another form of the stress, which is minus the virial over the volume, as in MACE and ASE."""


def label_names() -> list[str]:
    """The names and aliases that a mapping may use."""
    return [name for label in _all() for name in (label.name, *label.aliases)]


def find_label(name: str) -> Label | None:
    """The label of a name or an alias, or None."""
    for label in _all():
        if name == label.name or name in label.aliases:
            return label
    return None


def _all() -> list[Label]:
    return [*LABELS.values(), VIRIALS]
