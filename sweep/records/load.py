"""Studies and trainings from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.errors import DamagedRecordError, InputError
from sweep.records.study import Study, read_trial
from sweep.records.trial import Trial
from sweep.records.trial_file import FILE

__all__ = ["group", "is_study", "load_study", "not_found"]


def load_study(path: str | Path) -> Study:
    """Read a study, or a single training, from its folder. Imports no torch.

    Args:
        path: Folder of the study, such as ``outputs/esp_weights``, or of one trial.

    Raises:
        InputError: if there is no such folder, or it is neither.

    Example:
        >>> study = load_study("outputs/esp_weights")  # doctest: +SKIP
        >>> study.trials[["role", "state", "score"]]  # doctest: +SKIP
        >>> losses.WeightedLoss(study.best.loss)  # doctest: +SKIP
    """
    folder = Path(path)
    if is_study(folder):
        return Study.read(folder)
    if (folder / FILE).is_file():
        try:
            return Study(folder.name, folder, (Trial.read(folder),), is_search=False)
        except DamagedRecordError as error:
            raise InputError(str(error)) from error
    raise InputError(not_found(folder))


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / "trials").is_dir() or (folder / "study.journal").is_file()


def not_found(folder: Path) -> str:
    """The message for a folder that holds neither a study nor a trial."""
    if not folder.exists():
        return f"{folder}: no such folder"
    if not folder.is_dir():
        return f"{folder}: not a folder; give the folder of a study or of a trial"
    inside = sorted(str(path) for path in folder.glob("*") if is_study(path))
    hint = f"; did you mean {' or '.join(inside[:3])}?" if inside else ""
    return f"{folder}: neither a study (no trials/ in it) nor a trial (no trial.json in it){hint}"


def group(name: str, folders: Sequence[Path]) -> Study:
    """Single trainings put together, to be compared."""
    trials, unreadable = [], {}
    for folder in folders:
        found = read_trial(folder)
        if isinstance(found, Trial):
            trials.append(found)
        else:
            unreadable[folder] = str(found)
    return Study(name, folders[0].parent, tuple(trials), unreadable=unreadable, is_search=False)
