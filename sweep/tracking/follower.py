"""Keeps a tracker up to date with the records of a trial, and its failures from the training."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError
from sweep.files import make_folder, read_json, write_json
from sweep.passwords import masked
from sweep.records import Trial
from sweep.records.state import State
from sweep.tracking.tracker import RunInfo, Tracker
from sweep.tracking.values import config_of, epoch_values, final_values

__all__ = ["FOLDER", "Follower", "Tracking", "check_access"]

FOLDER = "tracking"
"""Folder in that of the study, or of a single training: all files of trackers."""


@dataclass
class _Note:
    """What is known of a run when its training goes on in another process.

    Attributes:
        run: Its id; None before it began.
        epochs: How many epochs it has.
        again: How often the trial was begun again, each time as another run.
        state: How it ended; None while it is open.
    """

    run: str | None = None
    epochs: int = 0
    again: int = 0
    state: str | None = None


class Tracking:
    """The tracker of a study, or of a single training.

    Args:
        options: The node ``tracking``.
        folder: Folder of the study or training.
        study: Name of the study; None for a single training.
        tell: Shows a line to the user.
    """

    def __init__(
        self,
        options: DictConfig,
        folder: Path,
        *,
        study: str | None,
        tell: Callable[[str], None],
    ) -> None:
        self.options: Any = OmegaConf.to_container(options, resolve=True)
        self.folder = folder / FOLDER
        self.study = study
        self._tell = tell
        self._has_told = False

    def follow(self, folder: Path, name: str) -> Follower | None:
        """What follows a trial; None if nothing shall.

        Args:
            folder: Folder of the trial.
            name: Its name in the study.
        """
        return None if self.options["name"] == "none" else Follower(self, folder, name)

    def note_path(self, name: str) -> Path:
        """Where it is noted which run a trial is: another server knows nothing of those of this."""
        where = {key: value for key, value in self.options.items() if key != "mode"}
        text = masked(json.dumps(where, sort_keys=True))
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        target = f"{self.options['name']}-{digest}"
        return self.folder / "runs" / target / f"{name.replace('/', '-')}.json"

    def warn(self, error: Exception) -> None:
        """Say once what is wrong: it will be the same for the next trial."""
        if not self._has_told:
            self._has_told = True
            reason = masked(" ".join(str(error).split())) or type(error).__name__
            name = self.options["name"]
            self._tell(f"tracking={name}: {reason[:300]}; the training goes on without")


class Follower:
    """Follows one trial: what its records hold and the tracker does not is what it shows.

    So a training that was stopped or killed goes on with its run, a trial whose first epochs were
    trained elsewhere has them, too, and any trainer is tracked.

    Args:
        tracking: The tracker.
        folder: Folder of the trial.
        name: Name of the trial in the study.
    """

    def __init__(self, tracking: Tracking, folder: Path, name: str) -> None:
        self._tracking = tracking
        self._folder = folder
        self._name = name
        self._path = tracking.note_path(name)
        self._note = _Note()
        self._tracker: Tracker | None = None
        self._has_failed = False

    def begin(self) -> None:
        """The training begins or goes on; ``trial.json`` is there."""
        self._safely(self._open)

    def epoch(self, epoch: int, *, is_new: bool) -> None:
        """An epoch is on the disk.

        Args:
            epoch: The epoch.
            is_new: It was trained just now, not read from the records.
        """
        self._safely(partial(self._epoch, epoch, is_new))

    def end(self, state: State) -> None:
        """The training has ended; ``trial.json`` says so, too."""
        self._safely(partial(self._end, state))

    def _safely(self, step: Callable[[], None]) -> None:
        """Nothing that a tracker does, or fails to do, is worth a training."""
        if self._has_failed:
            return
        try:
            with warnings.catch_warnings():  # they concern the authors of the trackers
                warnings.simplefilter("ignore")
                step()
        except Exception as error:
            self._has_failed = True
            self._tracking.warn(error)

    def _open(self) -> None:
        make_folder(self._tracking.folder)
        try:
            self._note = _Note(**read_json(self._path))
        except (ValueError, TypeError):  # damaged: another run
            self._note = _Note()
        options = self._tracking.options
        self._tracker = _kind(options["name"])(options)
        self._start()

    def _start(self) -> None:
        assert self._tracker is not None
        note = self._note
        name = self._name + (f"-again{note.again}" if note.again else "")
        config = config_of(Trial.read(self._folder))
        info = RunInfo(self._tracking.study, name, config, self._tracking.folder, self._path.parent)
        note.run, note.epochs = self._tracker.open(info, note.run, note.epochs)
        self._write()

    def _epoch(self, epoch: int, is_new: bool) -> None:
        assert self._tracker is not None
        if is_new and epoch < self._note.epochs:  # nothing of two trainings may be mixed
            self._tracker.close(State.STOPPED, "begun again", epoch, {})
            self._note = _Note(again=self._note.again + 1)
            self._start()
        self._log_new()

    def _log_new(self) -> None:
        assert self._tracker is not None
        before = self._note.epochs
        try:
            for epoch, values in epoch_values(Trial.read(self._folder), before):
                self._tracker.log(epoch, values)
                self._note.epochs = epoch + 1
        finally:
            if self._note.epochs > before:
                self._write()

    def _end(self, state: State) -> None:
        assert self._tracker is not None
        self._log_new()
        trial = Trial.read(self._folder)
        # Those of a lost record that was made again are there already.
        is_new = state.is_finished and self._note.state != state
        epoch = max(self._note.epochs - 1 if trial.epoch is None else trial.epoch, 0)
        reason = trial.reason if state is State.FAILED else None
        self._tracker.close(state, reason, epoch, final_values(trial) if is_new else {})
        self._note.state = state
        self._write()

    def _write(self) -> None:
        write_json(self._path, asdict(self._note))


def check_access(options: DictConfig) -> None:
    """Make sure, before anything is trained, that the tracker can be used.

    Args:
        options: The checked node ``tracking``.

    Raises:
        InputError: saying why not, and what helps.
    """
    plain: Any = OmegaConf.to_container(options, resolve=True)
    name = plain["name"]
    if name == "none":
        return
    try:
        kind = _kind(name)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"tracking={name}: cannot be imported ({reason}): pip install 'mace-loss-sweep[{name}]'"
        ) from error
    if (why_not := kind.refusal(plain)) is not None:
        raise InputError(f"tracking={name}: {why_not}")


def _kind(name: str) -> type[Tracker]:
    """The class of a tracker; its package is imported only now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "wandb":
            from sweep.tracking.wandb_runs import WandbTracker

            return WandbTracker
        if name == "mlflow":
            from sweep.tracking.mlflow_runs import MlflowTracker

            return MlflowTracker
        from sweep.tracking.tensorboard_runs import TensorboardTracker

        return TensorboardTracker
