"""What optuna-dashboard shows of a trial: a note, and a picture of its breakdown.

Optuna freezes a trial when it is told, so both are there before. Imports no torch.
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.trial import Trial as OptunaTrial

from sweep.errors import DamagedRecordError, InputError
from sweep.records import Trial
from sweep.records.judging import by_objective
from sweep.records.study_record import StudyRecord
from sweep.report.dashboard.note import trial_note

__all__ = ["Dashboard", "artifact_store", "check_dashboard"]


def check_dashboard(where: str) -> None:
    """Make sure that the package is there.

    Args:
        where: What needs it.

    Raises:
        InputError: if it is not.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError(
            f"{where}: needs optuna-dashboard; pip install 'mace-loss-sweep[dashboard]'"
        )


def artifact_store(folder: Path) -> FileSystemArtifactStore:
    """Where the pictures of a study are kept.

    Args:
        folder: Folder of the study.
    """
    path = folder / "artifacts"
    path.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(path)


class Dashboard:
    """Gives trials their notes and pictures.

    Args:
        folder: Folder of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def show(self, trial: OptunaTrial) -> None:
        """Upload the picture of a trial, if it finished an epoch, and write its note.

        A trial that was left after this, and is told by another worker, keeps its picture.
        """
        from optuna_dashboard import save_note
        from optuna_dashboard.artifact import get_artifact_path

        summary = _read(self._folder, trial.number)
        if summary is None:
            return
        known = [meta.artifact_id for meta in get_all_artifact_meta(trial)]
        picture = known[0] if known else self._upload(trial)
        path = None if picture is None else get_artifact_path(trial, picture)
        default = _read(self._folder, 0)
        if default is not None and not default.is_complete:
            default = None
        save_note(trial, trial_note(summary, default, path))

    def _upload(self, trial: OptunaTrial) -> str | None:
        from sweep.batch_losses.figure import draw
        from sweep.batch_losses.run import Range, from_trial

        try:
            run = from_trial(self._folder / "trials" / f"{trial.number:04d}", Range())
        except InputError:  # no epoch was finished
            return None
        with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            path = Path(temporary) / "batch_losses.png"
            draw(run, path)
            return upload_artifact(
                artifact_store=artifact_store(self._folder),
                file_path=str(path),
                study_or_trial=trial,
            )


def _read(study: Path, number: int) -> Trial | None:
    """A trial as its study judges it now, None if it cannot be read."""
    try:
        trial = Trial.read(study / "trials" / f"{number:04d}")
        record = StudyRecord.read(study)
    except DamagedRecordError:
        return None
    return trial if record is None else by_objective(trial, record.objective)
