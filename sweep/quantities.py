"""The physical quantities: their labels, predictions, weights, units and legal values.

The one declaration of each; the labels that files hold, the weights of configurations, the errors
of a validation, the scales of the data and what a loss term fits follow from it. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import losses
from sweep.errors import InputError

__all__ = ["QUANTITIES", "Quantity", "exponents_of", "quantity", "quantity_of"]


@dataclass(frozen=True)
class Quantity:
    """One quantity that is labelled and predicted.

    Attributes:
        name: Its name in ``objective.metrics`` and in the columns of ``metrics.parquet``.
        title: Its name in tables and figures.
        pred: Key of the prediction in the model's output; the charges of ``summed`` have another.
        weight: Key of the batch's weight that is zero where the label is missing.
        unit: Unit in which errors are stored.
        display_unit: Unit in which errors are shown; one unit is ``display_factor`` of these.
        shape: Of the label of one configuration; ``n`` stands for its atoms, ``C`` for a number of
            multipoles. None if it has no label of its own.
        legal: Smallest and largest value of a label, in ``label_unit``. Numbers beyond are in
            another unit or stand for a value that is missing.
        display_factor: See ``display_unit``.
        per_atom: Whether the error of a graph is divided by its number of atoms.
        summed: Whether it is the sum of the predicted charges, no output of its own.
        reference: Key of the reference; as ``pred`` if not given.
        computed: Whether the reference is the model's own output for other reference labels.
        needs: Keys of the labels without all of which the weight is zero: the reference if not
            given.
        label: The name that users give the label; as ``name`` if not given.
        aliases: Further names of the label.
        label_unit: Unit of the label; as ``unit`` if not given.
        weight_shape: Of the weight of one configuration.
        weight_names: A file may give the weight as ``config_<name>_weight`` for any of these; the
            names of the label if not given.
    """

    name: str
    title: str
    pred: str
    weight: str
    unit: str
    display_unit: str
    shape: tuple[int | str, ...] | None = None
    legal: tuple[float, float] = (-math.inf, math.inf)
    display_factor: float = 1000.0
    per_atom: bool = False
    summed: bool = False
    reference: str = ""
    computed: bool = False
    needs: tuple[str, ...] = ()
    label: str = ""
    aliases: tuple[str, ...] = ()
    label_unit: str = ""
    weight_shape: tuple[int, ...] = ()
    weight_names: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """Key of the reference: in the batch, or in the model's output if it is ``computed``."""
        return self.reference or self.pred

    @property
    def output(self) -> str:
        """What the model must return."""
        return "density_coefficients" if self.summed else self.pred

    @property
    def labels(self) -> tuple[str, ...]:
        """Keys of the labels that it needs."""
        return self.needs or (self.ref,)

    @property
    def terms(self) -> tuple[str, ...]:
        """The loss terms that fit it with their default options."""
        return tuple(name for name in losses.names() if quantity_of(losses.get(name)) is self)


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "energy", "energy", "energy", "energy_weight", "eV/atom", "meV/atom",
            shape=(), legal=(-1e10, 1e10), per_atom=True, label_unit="eV",
        ),
        Quantity(
            "forces", "forces", "forces", "forces_weight", "eV/Å", "meV/Å",
            shape=("n", 3), legal=(-1e7, 1e7),
        ),
        Quantity(
            "stress", "stress", "stress", "stress_weight", "eV/Å³", "meV/Å³",
            shape=(3, 3), legal=(-1e6, 1e6),
        ),
        Quantity(
            "atomic_multipoles", "multipoles", "density_coefficients",
            "density_coefficients_weight", "e·Å^l", "me·Å^l",
            shape=("n", "C"), legal=(-1e4, 1e4), aliases=("density_coefficients",),
        ),
        Quantity(
            "total_charge", "total charge", "total_charge", "total_charge_weight", "e", "me",
            shape=(), legal=(-1e5, 1e5), summed=True,
        ),
        Quantity(
            "fermi_level", "Fermi level", "fermi_level", "fermi_level_weight", "eV", "meV",
            shape=(), legal=(-1e4, 1e4),
        ),
        Quantity(
            "dipole", "dipole", "dipole", "dipole_weight", "e·Å", "me·Å",
            shape=(3,), legal=(-1e7, 1e7), weight_shape=(3,),
        ),
        Quantity(
            "polarizability", "polarizability", "polarizability", "polarizability_weight",
            "label unit", "10⁻³ label unit",
            shape=(3, 3), legal=(-1e9, 1e9), label_unit="as labelled", weight_shape=(3, 3),
        ),
        # of mace's fine-tuning beside the data of the foundation model: the score on these
        Quantity(
            "replay", "replay score", "replay", "replay_weight", "1", "1",
            display_factor=1.0, computed=True,
        ),
        # of the reference multipoles, by the model's own electrostatics
        Quantity(
            "esps", "ESP", "esps", "electrostatic_potentials_weight", "V", "mV",
            reference="esps_dft", computed=True, needs=("density_coefficients",),
            weight_names=("electrostatic_potentials",),
        ),
        # the same potential against that given in the data, as `esps: {reference: label}` trains it
        Quantity(
            "esps_label", "ESP label", "esps", "esps_weight", "V", "mV",
            shape=("n",), legal=(-1e5, 1e5), label="esps",
            weight_names=("esps", "electrostatic_potentials"),
        ),
    )
}  # fmt: skip


def quantity_of(term: losses.Term) -> Quantity | None:
    """The quantity that a term fits as it is, with the labels of its options; None if none."""
    for quantity in QUANTITIES.values():
        if term.labels == quantity.labels and quantity.output in term.outputs:
            return quantity
    return None


def quantity(name: str, multipoles_max_l: int | None = None) -> Quantity:
    """A quantity by its name; one that only another program knows has no label and no unit.

    Args:
        name: Its name.
        multipoles_max_l: Largest l of the multipoles, where it is known: those of l = 0 are
            charges, and their unit is e.
    """
    found = QUANTITIES.get(name)
    if found is None:
        return Quantity(name, name, name, f"{name}_weight", "", "", display_factor=1.0)
    if name == "atomic_multipoles" and multipoles_max_l == 0:
        return replace(found, unit="e", display_unit="me")
    return found


def exponents_of(metrics: Any, where: str = "objective.metrics") -> dict[str, float]:
    """Quantity -> exponent in the geometric mean that the score is.

    Args:
        metrics: Quantity -> exponent, or a list of quantities, which have the exponent 1, and of
            such mappings: ``[{forces: 2}, energy]``.
        where: The key or option, for messages.

    Raises:
        InputError: if it is nothing of these, names a quantity twice, or an exponent is not above 0
            and finite.
    """
    found: dict[str, float] = {}
    is_list = isinstance(metrics, Sequence) and not isinstance(metrics, str)
    for entry in metrics if is_list else [metrics]:
        pairs = {entry: 1.0} if isinstance(entry, str) and is_list else entry
        if not isinstance(pairs, Mapping):
            raise InputError(
                f"{where}: must be a list of quantities, with their exponents where these are not "
                f"1, as in [{{forces: 2}}, energy]; got {entry!r}"
            )
        for name, exponent in pairs.items():
            is_number = isinstance(exponent, int | float) and not isinstance(exponent, bool)
            if not (is_number and math.isfinite(exponent) and exponent > 0):
                raise InputError(
                    f"{where}: the exponent of '{name}' must be finite and above 0; got {exponent}"
                )
            if name in found:
                raise InputError(f"{where}: '{name}' stands there twice")
            found[str(name)] = float(exponent)
    return found
