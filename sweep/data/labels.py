"""The labels that a configuration can carry: names, shapes, units and weights. Imports no torch.

Those of physical quantities follow from :mod:`sweep.quantities`.

The *name* is what users write in ``info_keys`` and ``arrays_keys`` and in ``config_<name>_weight``;
the *key* is what the label is called in a batch. They differ for the atomic multipoles only, as in
MACE_SCF.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweep.quantities import QUANTITIES, Quantity

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
        legal: smallest and largest value.
    """

    name: str
    key: str
    shape: tuple[int | str, ...]
    per_atom: bool
    unit: str
    aliases: tuple[str, ...] = ()
    integer: bool = False
    legal: tuple[float, float] = (-math.inf, math.inf)

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


def _label(quantity: Quantity, shape: tuple[int | str, ...]) -> Label:
    return Label(
        name=quantity.label or quantity.name,
        key=quantity.ref,
        shape=shape,
        per_atom=shape[:1] == ("n",),
        unit=quantity.label_unit or quantity.unit,
        aliases=quantity.aliases,
        legal=quantity.legal,
    )


def _weight(quantity: Quantity) -> Weight:
    names = (quantity.label or quantity.name, *quantity.aliases)
    return Weight(
        quantity.weight, quantity.labels, quantity.weight_shape, quantity.weight_names or names
    )


LABELS: dict[str, Label] = {
    label.key: label
    for label in (
        *(_label(q, q.shape) for q in QUANTITIES.values() if q.shape is not None),
        # what models read and nothing is compared with
        # multiplicity, 2S + 1; read by models that have spins, which take 1 where it is missing
        Label("total_spin", "total_spin", (), False, "", legal=(1, math.inf)),
        Label("external_field", "external_field", (3,), False, "V/Å"),
        # molID in MACE_SCF
        Label("cluster_batch", "cluster_batch", ("n",), True, "", integer=True, aliases=("molID",)),
    )
}
"""All labels by their key in a batch."""

WEIGHTS: dict[str, Weight] = {
    weight.key: weight
    for weight in (
        *map(_weight, QUANTITIES.values()),
        Weight("cluster_loss_weight", ("forces", "cluster_batch"), (), ("cluster_loss", "molID")),
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
