"""Small extxyz files for the tests of the data layer."""

from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.build import molecule


class Files:
    """Writes frames to numbered files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def path(self, name: str | None = None) -> Path:
        self.count += 1
        return self.folder / (name or f"frames_{self.count}.xyz")

    def write(self, *frames: ase.Atoms) -> Path:
        path = self.path()
        ase.io.write(path, list(frames), format="extxyz", write_results=True)
        return path

    def text(self, text: str) -> Path:
        path = self.path()
        path.write_text(text)
        return path


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def water():
    """A function that makes a labelled water molecule; keywords are values of the comment line."""

    def make(seed: int = 0, columns: dict | None = None, **info) -> ase.Atoms:
        rng = np.random.default_rng(seed)
        atoms = molecule("H2O")
        atoms.rattle(0.05, rng=rng)
        atoms.info = {"REF_energy": -14.0 + rng.normal(), **info}
        atoms.arrays["REF_forces"] = rng.normal(size=(3, 3))
        for name, values in (columns or {}).items():
            atoms.arrays[name] = np.asarray(values)
        return atoms

    return make
