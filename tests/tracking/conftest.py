"""A study whose trials are written by hand, and the trackers that follow them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tracked_runs import OFFLINE, Run, options_of, read_runs

from sweep.tracking.follower import FOLDER, Tracking


@pytest.fixture(params=OFFLINE)
def tracker(request: pytest.FixtureRequest) -> str:
    """Each of the trackers."""
    return request.param


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make its tables."""
    options_of("mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


class Tracked:
    """A study with a tracker, at work in ever new processes.

    Attributes:
        folder: Its folder, ``mine``.
        said: What it told the user.
    """

    def __init__(self, tracker: str, folder: Path) -> None:
        self.tracker = tracker
        self.folder = folder
        self.said: list[str] = []

    def process(self) -> Tracking:
        """As another process has it."""
        return Tracking(options_of(self.tracker), self.folder, study="mine", tell=self.said.append)

    def follow(self, number: int = 0):
        """What follows a trial, in another process than before."""
        name = f"{number:04d}"
        return self.process().follow(self.folder / "trials" / name, name)

    def runs(self) -> dict[str, Run]:
        """What the tracker holds of the trials."""
        return {k: v for k, v in read_runs(self.tracker, self.folder).items() if k != "mine"}


@pytest.fixture
def tracked(tracker: str, request: pytest.FixtureRequest, tmp_path: Path) -> Tracked:
    """The study ``mine`` with each of the trackers."""
    study = Tracked(tracker, tmp_path / "mine")
    if tracker == "mlflow":
        (study.folder / FOLDER).mkdir(parents=True)
        database = request.getfixturevalue("empty_database")
        shutil.copy(database, study.folder / FOLDER / "mlflow.db")
    return study


@pytest.fixture
def write(make_two_stage_trial: Callable[..., Path]) -> Callable[..., Path]:
    """Write a trial of the study as it is after some epochs."""
    weights = {"forces": 2.0, "esps": 0.5, "dipole": 3.0}
    errors = {"energy": 0.01, "forces": 0.1, "esps": 0.2}

    def make(number: int = 0, *, n_epochs: int = 5, **content: object) -> Path:
        content = {"role": "default", "state": "RUNNING", **content}
        return make_two_stage_trial(number, weights, errors, n_epochs=n_epochs, **content)

    return make
