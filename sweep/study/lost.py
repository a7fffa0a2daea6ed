"""Trials that the study calls finished and whose records do not.

A trial is told of after its record is on the disk; only a damaged disk or a removed file can bring
the two apart. Imports no torch.
"""

from __future__ import annotations

import os
from pathlib import Path

from optuna.trial import FrozenTrial

from sweep.errors import DamagedRecordError
from sweep.files import end_digest
from sweep.records.notes import FILE as note_file
from sweep.records.tables import BREAKDOWN, METRICS, last_epoch
from sweep.records.trial_file import BEST_MODEL, FILE, read_trial_file
from sweep.study.phase import Phase, Training

__all__ = ["can_go_on", "check_readable", "lost_trials"]


def check_readable(study: Path) -> None:
    """See that another user of the study lets us read the trials: they are not gone, only hidden.

    Raises:
        PermissionError: naming the first that cannot be read.
    """
    for folder in sorted((study / "trials").glob("*")):
        try:
            os.listdir(folder)
            (folder / FILE).open("rb").close()
        except PermissionError:
            raise
        except OSError:  # not there or damaged, of which others tell
            continue


def lost_trials(phase: Phase, folder: Path) -> list[tuple[FrozenTrial, Training]]:
    """The trials whose ``trial.json`` is damaged, gone, or tells of another state.

    The same holds for trials whose tables end before their last epoch, or whose best model is not
    the one that they ended with: a worker that stood still in the middle of a rename, and lost its
    lease meanwhile, may put an old file over the last one.
    Reads the file of every finished trial and the ends of its tables: about 0.5 ms each.

    Args:
        phase: The part of the study that they belong to.
        folder: Folder of the study.
    """
    pairs = [(trial, phase.training_of(trial)) for trial in phase.queue.finished()]
    return [pair for pair in pairs if not _is_recorded(folder, *pair)]


def can_go_on(folder: Path) -> bool:
    """Whether enough of a trial is left to finish it again: anything that a training wrote."""
    return any(path.name not in (FILE, note_file, ".hydra") for path in folder.glob("*"))


def _is_recorded(study: Path, trial: FrozenTrial, training: Training) -> bool:
    folder = study / training.subdir
    try:
        content = read_trial_file(folder / FILE)
        if (content["number"], str(content["state"])) != (training.number, trial.state.name):
            return False
        best = content.get("best_model")
        if best is not None and best != end_digest(folder / BEST_MODEL):
            return False
        n_epochs = content.get("epochs_trained")
        ends = [last_epoch(folder / name) for name in (BREAKDOWN, METRICS)]
        return n_epochs is None or all(end in (None, n_epochs - 1) for end in ends)
    except DamagedRecordError:
        return False
