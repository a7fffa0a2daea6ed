"""Terms on the net forces between molecules.

A molecule is a distinct pair (graph, ``cluster_batch`` value). Inside a molecule the large bonded
forces cancel, so these terms see the weak forces between molecules that the force term hides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from losses.base import ALL_FAMILIES, register
from losses.squares import Squares

if TYPE_CHECKING:
    from losses.batch import Quantities


@register(
    "cluster_virial",
    labels=("forces", "cluster_batch"),
    outputs=("forces",),
    mask="cluster_loss_weight",
    families=ALL_FAMILIES,
    unit="eV^2",
)
def cluster_virial(q: Quantities) -> Squares:
    """Mean squared error of the virial of the net molecular forces.

    ``mean_g( w_g w^C_g W_g^2 )`` with ``W_g = sum_m c_m · (F̂_m - F_m)``, F_m the net force on
    molecule m and c_m its mean position.
    """
    work = q.cluster_work()
    return Squares(work, None, q.weight("cluster_loss_weight", work))


@register(
    "cluster_virial_per_atom",
    labels=("forces", "cluster_batch"),
    outputs=("forces",),
    mask="cluster_loss_weight",
    families=ALL_FAMILIES,
    unit="eV^2/atom",
)
def cluster_virial_per_atom(q: Quantities) -> Squares:
    """Mean squared error of the virial of the net molecular forces, per atom.

    ``mean_g( w_g w^C_g W_g^2 / n_g )``: the square is divided by n_g once.
    """
    work = q.cluster_work()
    return Squares(work, None, q.weight("cluster_loss_weight", work) / q.atoms(work))


@register(
    "molecular_forces",
    labels=("forces", "cluster_batch"),
    outputs=("forces",),
    mask="forces_weight",
    families=ALL_FAMILIES,
    unit="(eV/Å)^2/atom",
)
def molecular_forces(q: Quantities) -> Squares:
    """Mean squared error of the net force on each molecule.

    ``mean_ga( w_g w^F_g sum_m (F̂_m - F_m)_a^2 / n_g )`` over graphs and components.
    """
    error = q.molecule_force_error()
    # The error has one row per atom of the batch, the mean is over graphs.
    weight = q.weight("forces_weight", error) / q.atoms(error) * (q.n_atoms / q.n_graphs)
    return Squares(error, None, weight.index_select(0, q.molecules.graph))
