"""The shipped data sets as they are written: their configurations, columns and READMEs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ase
import numpy as np

from sweep.datagen import organics, water_boxes, water_clusters

__all__ = ["RECIPES", "Recipe", "box_atoms", "cluster_atoms", "organic_atoms"]


@dataclass(frozen=True)
class Recipe:
    """How a shipped data set is made.

    Attributes:
        seed: of the shipped files.
        plan: the indices of the configurations of a split.
        atoms: the configuration of an index and a seed, labelled under the keys of ``conf/data``.
        columns: of the files.
        readme: text beside them, with places for ``seed`` and the version of ``tblite``.
    """

    seed: int
    plan: Callable[[str], list[int]]
    atoms: Callable[[int, int], ase.Atoms]
    columns: tuple[str, ...]
    readme: str


_COLUMNS = ("symbols", "positions", "REF_forces", "REF_multipoles", "cluster_batch")


def cluster_atoms(index: int, seed: int) -> ase.Atoms:
    """A configuration of ``water_clusters``."""
    sample = water_clusters.sample(index, seed)
    labels = sample.labels
    atoms = ase.Atoms(numbers=sample.kind.numbers, positions=sample.positions)
    atoms.arrays["REF_forces"] = labels.forces
    atoms.arrays["REF_multipoles"] = labels.multipoles
    atoms.arrays["cluster_batch"] = sample.molecules
    atoms.info.update(
        config_type=sample.kind.name,
        sample_index=index,
        REF_energy=round(labels.energy, 8),
        REF_dipole=np.round(labels.dipole, 8),
        REF_polarizability=np.round(labels.polarizability, 8).ravel(),
        REF_fermi_level=round(labels.fermi_level, 6),
        total_charge=sample.kind.ion,
        config_dipole_weight=np.ones(3, dtype=int),
    )
    return atoms


def organic_atoms(index: int, seed: int) -> ase.Atoms:
    """A configuration of ``organics``."""
    sample = organics.sample(index, seed)
    labels = sample.labels
    atoms = ase.Atoms(numbers=sample.numbers, positions=sample.positions)
    atoms.arrays["REF_forces"] = labels.forces
    atoms.arrays["REF_multipoles"] = labels.multipoles
    atoms.info.update(
        config_type=sample.kind.name,
        sample_index=index,
        REF_energy=round(labels.energy, 8),
        REF_dipole=np.round(labels.dipole, 8),
        REF_polarizability=np.round(labels.polarizability, 8).ravel(),
        REF_fermi_level=round(labels.fermi_level, 6),
        total_charge=sample.kind.charge,
        config_dipole_weight=np.ones(3, dtype=int),
    )
    return atoms


def box_atoms(index: int, seed: int) -> ase.Atoms:
    """A configuration of ``water_boxes``."""
    sample = water_boxes.sample(index, seed)
    labels = sample.labels
    atoms = ase.Atoms(
        numbers=sample.numbers, positions=sample.positions, cell=sample.cell, pbc=True
    )
    atoms.arrays["REF_forces"] = labels.forces
    atoms.arrays["REF_multipoles"] = labels.multipoles
    atoms.arrays["cluster_batch"] = sample.molecules
    atoms.info.update(
        config_type=f"water_box_{sample.n_waters}",
        sample_index=index,
        REF_energy=round(labels.energy, 8),
        REF_stress=np.round(labels.stress, 10).ravel(),
        total_charge=0,
    )
    return atoms


_CLUSTERS_README = """\
# water_clusters

Neutral clusters of 1 to 4 water molecules and the hydrates of H3O+ and OH- (0 to 3 waters): 240
training, 60 validation and 60 test configurations, every kind in every split. `config_type` says
which, for example `water_2`, `hydronium_1`, `hydroxide_2`; `sample_index` is the number of the
configuration in the data set.

Labels: GFN2-xTB (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019)) computed with
tblite {tblite}, accuracy 0.01, 300 K electronic temperature. They are labels of a fast
semi-empirical method, good for learning how loss weights act and for testing; they are not meant
for production potentials.

| key | quantity | unit |
|---|---|---|
| `REF_energy` | total energy | eV |
| `REF_forces` | forces | eV/Å |
| `REF_multipoles` | cumulative atomic multipoles `[Q, d_y, d_z, d_x]` | e, e·Å |
| `REF_dipole` | dipole `x y z` = sum over atoms of `Q r + d` | e·Å |
| `REF_polarizability` | d dipole / d field, 3x3, by central differences | e²Å²/eV = e·Å²/V |
| `REF_fermi_level` | middle of the gap between highest occupied and lowest empty orbital | eV |
| `total_charge` | total charge | e |
| `cluster_batch` | number of the molecule that an atom belongs to | - |
| `config_dipole_weight` | weight of each dipole component | - |

Origin of the dipole: the coordinate origin, at which every configuration has its centre of mass.
The dipole of a charged cluster depends on that choice; whoever moves a charged cluster must move
its label.

GFN2-xTB uses a minimal basis: polarizabilities are about a quarter of the true ones of water.

Geometries: molecules put together mostly along hydrogen bonds, 30 quasi-Newton steps, then 30 fs of
molecular dynamics from random velocities of 300 to 1500 K, all with GFN2-xTB.

Made by `python -m sweep.data.generate water_clusters --seed {seed}`.
"""

_BOXES_README = """\
# water_boxes

Small periodic cells of 3, 4 and 5 water molecules: 144 training, 36 validation and 36 test
configurations, every size in every split. `config_type` says which, for example `water_box_4`;
`sample_index` is the number of the configuration in the data set. The cells are skewed by up to 8 %
and have 0.85 to 1.2 times the density of liquid water; molecules are whole.

Labels: GFN1-xTB (Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017)) computed
with tblite {tblite}, accuracy 0.01, 300 K electronic temperature, Γ point only. They are labels of
a fast semi-empirical method, good for learning how loss weights act and for testing; they are not
meant for production potentials. With the Γ point alone the energy of a cell this small is not that
of the liquid: twice the cell has other than twice the energy, by about 5 meV per atom.

| key | quantity | unit |
|---|---|---|
| `REF_energy` | total energy | eV |
| `REF_forces` | forces | eV/Å |
| `REF_stress` | stress dE/dε / V, 3x3, positive under tension (the sign of ASE) | eV/Å³ |
| `REF_multipoles` | cumulative atomic multipoles `[Q, d_y, d_z, d_x]` | e, e·Å |
| `total_charge` | total charge, 0 | e |
| `cluster_batch` | number of the molecule that an atom belongs to | - |

There is no dipole: that of a periodic cell depends on how molecules are wrapped.

Geometries: molecules placed at random, 20 quasi-Newton steps, then 20 fs of molecular dynamics from
random velocities of 300 to 1200 K, all with GFN1-xTB at fixed cell.

Made by `python -m sweep.data.generate water_boxes --seed {seed}`.
"""

_ORGANICS_README = """\
# organics

Ten small organic molecules of H, C, N and O (methanol, formaldehyde, formic and acetic acid,
acetaldehyde, dimethyl ether, methylamine, acetamide, acetonitrile, ethene), the ions NH4+ and
CH3NH3+, formate and acetate: 168 training, 42 validation and 42 test configurations, every kind in
every split. `config_type` says which; `sample_index` is the number of the configuration in the data
set.

Labels: GFN2-xTB (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019)) computed with
tblite {tblite}, accuracy 0.01, 300 K electronic temperature. They are labels of a fast
semi-empirical method, good for learning how loss weights act and for testing; they are not meant
for production potentials.

| key | quantity | unit |
|---|---|---|
| `REF_energy` | total energy | eV |
| `REF_forces` | forces | eV/Å |
| `REF_multipoles` | cumulative atomic multipoles `[Q, d_y, d_z, d_x]` | e, e·Å |
| `REF_dipole` | dipole `x y z` = sum over atoms of `Q r + d` | e·Å |
| `REF_polarizability` | d dipole / d field, 3x3, by central differences | e²Å²/eV = e·Å²/V |
| `REF_fermi_level` | middle of the gap between highest occupied and lowest empty orbital | eV |
| `total_charge` | total charge | e |
| `config_dipole_weight` | weight of each dipole component | - |

Origin of the dipole: the coordinate origin, at which every configuration has its centre of mass.

Geometries: those of the G2 set in ASE with a proton added or removed for the ions, 30 quasi-Newton
steps, then 30 fs of molecular dynamics from random velocities of 300 to 1500 K, all with GFN2-xTB;
bonds are those of the start.

Made by `python -m sweep.data.generate organics --seed {seed}`.
"""

RECIPES: dict[str, Recipe] = {
    "water_clusters": Recipe(
        seed=water_clusters.SEED,
        plan=lambda split: water_clusters.plan(split),
        atoms=cluster_atoms,
        columns=_COLUMNS,
        readme=_CLUSTERS_README,
    ),
    "organics": Recipe(
        seed=organics.SEED,
        plan=lambda split: organics.plan(split),
        atoms=organic_atoms,
        columns=_COLUMNS[:-1],
        readme=_ORGANICS_README,
    ),
    "water_boxes": Recipe(
        seed=water_boxes.SEED,
        plan=lambda split: water_boxes.plan(split),
        atoms=box_atoms,
        columns=_COLUMNS,
        readme=_BOXES_README,
    ),
}
"""By the name of the data set."""
