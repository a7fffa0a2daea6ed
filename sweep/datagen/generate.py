"""Makes a shipped data set, for ``loss-sweep generate NAME [--out DIR] [--seed N]``.

Needs the extra ``[data]`` (tblite). The same seed gives the same files, up to the last digits that
a different build of tblite or of the linear algebra behind it changes. The ``README.md``
that is written beside them says what each key of the files is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from sweep.datagen.recipes import RECIPES

__all__ = ["SPLITS", "generate"]

SPLITS = ("train", "valid", "test")


def generate(name: str, out: Path, *, seed: int | None = None) -> list[Path]:
    """Write ``train.xyz``, ``valid.xyz``, ``test.xyz`` and ``README.md`` of data set ``name``.

    Args:
        name: one of :data:`~sweep.datagen.recipes.RECIPES`.
        out: folder, made if needed.
        seed: of the data set; by default the one of the shipped files.

    Raises:
        InputError: tblite is not installed.
        SweepError: a configuration could not be made.
    """
    import ase.io

    recipe = RECIPES[name]
    seed = recipe.seed if seed is None else seed
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for split in SPLITS:
        indices = recipe.plan(split)
        frames = [recipe.atoms(index, seed) for index in _progress(indices, f"{name} {split}")]
        path = out / f"{split}.xyz"
        columns = list(recipe.columns)
        ase.io.write(path, frames, format="extxyz", columns=columns, write_results=False)
        written.append(path)
    readme = out / "README.md"
    readme.write_text(recipe.readme.format(seed=seed, tblite=version("tblite")), encoding="utf-8")
    return [*written, readme]


def _progress(indices: Sequence[int], title: str) -> Iterable[int]:
    """A bar on a terminal, one plain line elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        return track(indices, description=title, console=Console(stderr=True))
    print(f"{title}: {len(indices)} configurations", file=sys.stderr)
    return indices
