"""Make a shipped data set: ``python -m sweep.data.generate water_clusters [--out DIR] [--seed N]``.

Needs the extra ``[data]`` (tblite). The same seed gives the same files, up to the last digits that
a different build of tblite or of the linear algebra behind it changes. The ``README.md``
that is written beside them says what each key of the files is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np

from sweep.data import water_clusters
from sweep.errors import SweepError

__all__ = ["DATA_SETS", "atoms_of", "generate", "main"]

DATA_SETS = ("water_clusters",)
SPLITS = ("train", "valid", "test")
_COLUMNS = ["symbols", "positions", "REF_forces", "REF_multipoles", "cluster_batch"]


def atoms_of(index: int, sample: water_clusters.Sample) -> ase.Atoms:
    """A sample as it is written to the file: labels under the keys of ``conf/data``."""
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


def generate(name: str, out: Path, *, seed: int | None = None) -> list[Path]:
    """Write ``train.xyz``, ``valid.xyz``, ``test.xyz`` and ``README.md`` of data set ``name``.

    Args:
        name: one of :data:`DATA_SETS`.
        out: folder, made if needed.
        seed: of the data set; by default the one of the shipped files.

    Raises:
        InputError: tblite is not installed.
        SweepError: a configuration could not be made.
    """
    import ase.io

    seed = water_clusters.SEED if seed is None else seed
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for split in SPLITS:
        indices = water_clusters.plan(split)
        frames = [
            atoms_of(index, water_clusters.sample(index, seed))
            for index in _progress(indices, f"{name} {split}")
        ]
        path = out / f"{split}.xyz"
        ase.io.write(path, frames, format="extxyz", columns=_COLUMNS, write_results=False)
        written.append(path)
    readme = out / "README.md"
    readme.write_text(README.format(seed=seed, tblite=version("tblite")), encoding="utf-8")
    return [*written, readme]


def _progress(indices: Sequence[int], title: str) -> Iterable[int]:
    """A bar on a terminal, one plain line elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        return track(indices, description=title, console=Console(stderr=True))
    print(f"{title}: {len(indices)} configurations", file=sys.stderr)
    return indices


README = """\
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sweep.data.generate",
        description="Make a shipped data set again, labels included (needs tblite).",
    )
    parser.add_argument("name", choices=DATA_SETS, help="data set")
    parser.add_argument("--out", type=Path, help="folder to write to (default: ./<name>)")
    parser.add_argument(
        "--seed",
        type=int,
        default=water_clusters.SEED,
        help="of geometries and velocities (default: %(default)s, that of the shipped files)",
    )
    options = parser.parse_args(arguments)
    try:
        written = generate(options.name, options.out or Path(options.name), seed=options.seed)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in written)
    print(f"wrote {', '.join(map(str, written))} ({size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
