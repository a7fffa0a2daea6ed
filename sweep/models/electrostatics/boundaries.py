"""Which boundary conditions the electrostatics of a configuration has, by graph-longrange's names.

No torch here.

| ``pbc_handling`` | molecule (F F F) | slab (one F) | cell (T T T) |
|---|---|---|---|
| ``auto`` | alone in space | slab | cell |
| ``realspace`` | alone in space | - | - |
| ``pbc`` | - | cell | cell |
| ``slab`` | - | slab | slab, vacuum along the third vector |
| ``molecule_in_box`` | alone, from a cubic box | - | alone, from a cubic box |
| ``mixed_periodic`` | alone, from a cubic box | slab | cell |

Only ``auto`` and ``mixed_periodic`` go by the flags of each configuration; the others say what all
configurations are, for files whose flags do not (a plane-wave code calls everything periodic).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sweep.data.cells import has_volume
from sweep.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sweep.data.read.configurations import Configuration

__all__ = ["PBC_HANDLING", "check_boundaries"]

PBC_HANDLING = ("realspace", "pbc", "slab", "molecule_in_box", "mixed_periodic", "auto")
"""Names of the choices in graph-longrange."""

_VALID: dict[str, tuple[int, ...]] = {
    "realspace": (0,),
    "pbc": (2, 3),
    "slab": (2, 3),
    "molecule_in_box": (0, 3),
    "mixed_periodic": (0, 2, 3),
    "auto": (0, 2, 3),
}
"""How many directions of a configuration may be periodic."""

_AUTO = "; model.pbc_handling=auto takes each configuration as its flags say"
_KINDS = {0: "molecules (F F F)", 2: "slabs (T T F)", 3: "cells (T T T)"}


def check_boundaries(handling: str, configuration: Configuration) -> None:
    """Check that the electrostatics can treat a configuration, and that its dipole has a meaning.

    Args:
        handling: one of :data:`PBC_HANDLING`.
        configuration: a configuration of any split.

    Raises:
        InputError: its flags, its cell or its dipole do not fit; the message names file and
            configuration.
    """
    n_periodic = int(configuration.pbc.sum())
    flags = " ".join("FT"[int(flag)] for flag in configuration.pbc)
    where = f'{configuration.where}: pbc="{flags}"'
    if n_periodic not in _VALID[handling]:
        kinds = ", ".join(_KINDS[n] for n in _VALID[handling])
        raise InputError(
            f"{where}: model.pbc_handling '{handling}' takes {kinds} only"
            + (_AUTO if n_periodic in _VALID["auto"] else "")
        )
    boxed = handling == "molecule_in_box" or (handling == "mixed_periodic" and n_periodic == 0)
    if boxed or n_periodic > 0:
        _check_cell(handling, configuration, where, cubic=boxed)
    if not boxed:
        repeated = configuration.pbc.copy()
        repeated[2] &= handling != "slab" or n_periodic == 2
        _check_dipole(configuration, repeated)


def _check_cell(handling: str, configuration: Configuration, where: str, *, cubic: bool) -> None:
    cell = configuration.cell
    remedy = "" if configuration.pbc.any() else _AUTO
    lengths = np.linalg.norm(cell, axis=1)
    volume = abs(np.linalg.det(cell))
    if not has_volume(cell):
        raise InputError(
            f"{where}: model.pbc_handling '{handling}' needs a cell of three vectors, with vacuum "
            "along those that are not periodic" + remedy
        )
    area = volume ** (2 / 3)
    if cubic and np.abs(cell @ cell.T - area * np.eye(3)).max() > 1e-3 * area:
        raise InputError(
            f"{where}: model.pbc_handling '{handling}' needs a cubic cell around a molecule; its "
            f"vectors are {', '.join(f'{length:.4g}' for length in lengths)} Å long{remedy}"
        )


def _check_dipole(configuration: Configuration, repeated: NDArray[np.bool_]) -> None:
    """A dipole along a periodic direction depends on where the cell is cut."""
    cell = configuration.cell
    along = np.abs(cell[repeated]) > 1e-6 * np.abs(cell).max(initial=0.0)
    undefined = along.any(axis=0)
    if (configuration.weights["dipole_weight"][undefined] > 0).any():
        defined = " ".join(str(int(not component)) for component in undefined)
        raise InputError(
            f"{configuration.where}: label 'dipole' of a periodic cell has no meaning along its "
            f'periodic directions; remove it or set config_dipole_weight="{defined}"'
        )
