"""The first stages of a training as one file, from which other trainings start.

The file is a zip archive of what a trial's folder holds after the last epoch of these stages:
checkpoint, best model, tables and log. It is whole or not there, and its checksums tell damage.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.files import make_folder, replacing
from sweep.records.trial_file import BEST_MODEL

__all__ = ["Prefix"]

CHECKPOINT = "checkpoint.pt"
_PATTERNS = ("*.parquet", "logs/*.log", BEST_MODEL, CHECKPOINT)  # the checkpoint makes them count
_NOTE = "prefix.json"


@dataclass(frozen=True)
class Prefix:
    """The first stages of a training, and the file that holds them once they are trained.

    Attributes:
        path: The file.
        n_stages: How many stages they are.
        n_epochs: How many epochs these have.
    """

    path: Path
    n_stages: int
    n_epochs: int

    def is_there(self) -> bool:
        """Whether the file is there and undamaged."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.testzip() is None
        except (FileNotFoundError, zipfile.BadZipFile):
            return False

    def save(self, folder: Path, check: Callable[[], None]) -> None:
        """Write the file from a trial that was trained to the end of these stages, not further.

        Args:
            folder: Folder of the trial.
            check: See :func:`sweep.files.replacing`.
        """
        note = {"trial": f"{folder.parent.name}/{folder.name}", "stages": self.n_stages,
                "epochs": self.n_epochs}  # fmt: skip
        paths = [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]
        with replacing(self.path, check=check) as new, zipfile.ZipFile(new, "w") as archive:
            archive.writestr(_NOTE, json.dumps(note))
            for path in paths:
                archive.write(path, path.relative_to(folder).as_posix())

    def note(self) -> dict[str, Any]:
        """Which trial trained them: what ``trial.json`` says of a training that starts from them.

        Raises:
            FileNotFoundError: if there is no such file.
            zipfile.BadZipFile: if it is damaged.
        """
        with zipfile.ZipFile(self.path) as archive:
            content: dict[str, Any] = json.loads(archive.read(_NOTE))
        return content | {"file": f"{self.path.parent.name}/{self.path.name}"}

    def unpack(self, folder: Path, check: Callable[[], None]) -> None:
        """Put what it holds into the folder of a trial, the checkpoint last.

        Args:
            folder: Folder of the trial.
            check: See :func:`sweep.files.replacing`.

        Raises:
            FileNotFoundError: if there is no such file.
            zipfile.BadZipFile: if it is damaged.
        """
        with zipfile.ZipFile(self.path) as archive:
            for name in archive.namelist():
                if name == _NOTE:
                    continue
                make_folder((folder / name).parent)
                with replacing(folder / name, check=check) as temporary:
                    temporary.write_bytes(archive.read(name))
