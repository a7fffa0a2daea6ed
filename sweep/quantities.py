"""Every physical quantity: its label in the data, its weight, its error. Imports no torch.

Three tables, one row for each: :data:`LABELS`, what configurations carry; :data:`WEIGHTS`, by which
they are weighted and hidden where they are missing; :data:`QUANTITIES`, what validations measure of
them, in which units errors are shown, and which terms fit them.

The *name* of a label is what users write in ``info_keys`` and ``arrays_keys`` and in
``config_<name>_weight``; the *key* is what it is called in a batch. They differ for the atomic
multipoles only, as in MACE_SCF.
"""

from __future__ import annotations

from dataclasses import dataclass

import losses

__all__ = [
    "LABELS",
    "QUANTITIES",
    "VIRIALS",
    "WEIGHTS",
    "Label",
    "Quantity",
    "Weight",
    "find_label",
    "label_names",
]


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
        whole: whether the values are whole numbers.
        minimum: the smallest legal value; None: any.
        stored_as_int: whether a batch holds it as integers.
        meaning: what it is, where a wrong value shows that this was not known.
    """

    name: str
    key: str
    shape: tuple[int | str, ...]
    per_atom: bool
    unit: str
    aliases: tuple[str, ...] = ()
    whole: bool = False
    minimum: float | None = None
    stored_as_int: bool = False
    meaning: str = ""

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
        # read by models that have spins, which take 1 where it is missing
        Label(
            "total_spin",
            "total_spin",
            (),
            False,
            "",
            whole=True,
            minimum=1,
            meaning="the multiplicity 2S + 1, one more than the unpaired electrons",
        ),
        Label("dipole", "dipole", (3,), False, "e·Å"),
        Label("polarizability", "polarizability", (3, 3), False, "as labelled"),
        Label("fermi_level", "fermi_level", (), False, "eV"),
        Label("external_field", "external_field", (3,), False, "V/Å"),
        Label("cluster_batch", "cluster_batch", ("n",), True, "", whole=True, stored_as_int=True),
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


@dataclass(frozen=True)
class Quantity:
    """What a validation measures of a label: an error with a unit.

    Attributes:
        name: Its name in ``objective.metrics`` and in the columns of ``metrics.parquet``.
        title: Its name in tables and figures.
        pred: Key of the prediction in the model's output.
        ref: Key of the reference in the batch (``esps_dft`` is the model's own output for the
            reference multipoles).
        weight: Key of the batch's weight that is zero where the label is missing.
        unit: Unit in which errors are stored.
        display_unit: Unit in which errors are shown; one unit is ``display_factor`` of these.
        display_factor: See ``display_unit``.
        per_atom: Whether the error of a graph is divided by its number of atoms.
    """

    name: str
    title: str
    pred: str
    ref: str
    weight: str
    unit: str
    display_unit: str
    display_factor: float = 1000.0
    per_atom: bool = False

    @property
    def terms(self) -> tuple[str, ...]:
        """The loss terms that fit it, with the options that they have by default."""
        return tuple(name for name in losses.names() if self.is_fitted_by(losses.get(name)))

    def is_fitted_by(self, term: losses.Term) -> bool:
        """Whether a term compares its prediction with its reference."""
        if self.ref in term.labels:
            return term.mask in (self.weight, None)
        # a reference that the model makes of the labels
        return self.ref in term.outputs and term.mask == self.weight


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "energy", "energy", "energy", "energy", "energy_weight",
            "eV/atom", "meV/atom", per_atom=True,
        ),
        Quantity("forces", "forces", "forces", "forces", "forces_weight", "eV/Å", "meV/Å"),
        Quantity("stress", "stress", "stress", "stress", "stress_weight", "eV/Å³", "meV/Å³"),
        Quantity(
            "atomic_multipoles", "multipoles", "density_coefficients", "density_coefficients",
            "density_coefficients_weight", "e·Å^l", "me·Å^l",
        ),
        Quantity(
            "total_charge", "total charge", "total_charge", "total_charge",
            "total_charge_weight", "e", "me",
        ),
        Quantity(
            "fermi_level", "Fermi level", "fermi_level", "fermi_level", "fermi_level_weight",
            "eV", "meV",
        ),
        Quantity("dipole", "dipole", "dipole", "dipole", "dipole_weight", "e·Å", "me·Å"),
        Quantity(
            "polarizability", "polarizability", "polarizability", "polarizability",
            "polarizability_weight", "label unit", "10⁻³ label unit",
        ),
        Quantity("esps", "ESP", "esps", "esps_dft", "electrostatic_potentials_weight", "V", "mV"),
        # the same potential against that given in the data, as `esps: {reference: label}` trains it
        Quantity("esps_label", "ESP label", "esps", "esps", "esps_weight", "V", "mV"),
    )
}  # fmt: skip
