"""The command as a user runs it, all processes that it starts, and what it must leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from sweep.study.storage import open_storage

_MARK = "SWEEP_TEST_PROCESS"
SMOKE = ["+experiment=smoke", "-m"]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Command:
    """``python -m sweep`` in a process group of its own, as a shell starts it.

    Args:
        folder: Where it runs.
        arguments: Its arguments.
        env: Added to the environment.
    """

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mark = uuid.uuid4().hex
        self._mark = f"{_MARK}={mark}".encode()
        self._path = folder / f"output-{mark[:8]}.txt"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with self._path.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sweep", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**environment, **(env or {}), _MARK: mark},
            )

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill_all()

    @property
    def output(self) -> str:
        """What it printed."""
        return self._path.read_text()

    def wait(self, timeout: float = 240) -> int:
        """Wait for its end; returns its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end:\n{self.output}") from None

    def wait_for(self, condition: Callable[[], object], timeout: float = 120) -> None:
        """Wait while it runs until something is the case."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal signals the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def others(self) -> list[int]:
        """The processes that it, or they, started and that have not ended."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            pid = int(path.parent.name)
            try:
                if pid != self.process.pid and self._mark in path.read_bytes().split(b"\0"):
                    found.append(pid)
            except OSError:  # it has just ended
                continue
        return found

    def wait_for_others(self, timeout: float = 60) -> None:
        """Wait until all processes that it started have ended."""
        deadline = time.monotonic() + timeout
        while others := self.others():
            assert time.monotonic() < deadline, f"processes {others} do not end\n{self.output}"
            time.sleep(0.1)

    def kill_all(self) -> None:
        """Kill it and all that it started."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.others():
            kill(pid)


def kill(pid: int) -> bool:
    """SIGKILL; returns whether there was such a process."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def run(folder: Path, *arguments: str) -> str:
    """Run the command to its good end; returns what it printed."""
    with Command(folder, *arguments) as command:
        assert command.wait() == 0, command.output
        command.wait_for_others()
    return command.output


def statuses(study: Path) -> list[dict]:
    """What the workers of all sessions of a study said last."""
    return [json.loads(path.read_text()) for path in sorted(study.glob("workers/*/*/status.json"))]


def working(study: Path) -> list[int]:
    """The processes of workers that train."""
    return [status["pid"] for status in statuses(study) if status["state"] == "working"]


def trials(study: Path, url: str | None = None) -> list[FrozenTrial]:
    """All trials of a study."""
    storage = open_storage(url, study)
    found = optuna.load_study(study_name=study.name, storage=storage).get_trials()
    if url is not None:
        storage._backend.engine.dispose()  # closes its connections
    return found


def check_study(
    study: Path,
    *,
    n_trials: int,
    n_epochs: int,
    steps_per_epoch: int = 3,
    url: str | None = None,
) -> list[FrozenTrial]:
    """Exactly the trials that were asked for, each with gapless records; returns them."""
    found = trials(study, url)
    finished = [trial for trial in found if trial.state in FINISHED]
    assert len(finished) == n_trials
    for trial in found:
        surplus = trial.state == TrialState.FAIL and "surplus" in trial.user_attrs
        assert trial.state in FINISHED or surplus, f"trial {trial.number}: {trial.state}"
    for trial in finished:
        folder = study / "trials" / f"{trial.number:04d}"
        content = json.loads((folder / "trial.json").read_text())
        assert content["state"] == trial.state.name
        assert content["params"] == trial.params
        assert content["score"] == trial.user_attrs["score"]
        epochs = content["epochs_trained"]
        assert (epochs == n_epochs) == (trial.state == TrialState.COMPLETE)
        assert sorted(trial.intermediate_values) == list(range(epochs))
        steps = pd.read_parquet(folder / "breakdown.parquet")
        assert steps["step"].tolist() == list(range(epochs * steps_per_epoch))
        assert steps["epoch"].tolist() == [e for e in range(epochs) for _ in range(steps_per_epoch)]
        metrics = pd.read_parquet(folder / "metrics.parquet")
        assert metrics.query("split == 'valid'")["epoch"].tolist() == list(range(epochs))
        assert (metrics["split"] == "test").sum() == (trial.state == TrialState.COMPLETE)
        balance = pd.read_parquet(folder / "balance.parquet")
        assert not balance.duplicated(["epoch", "term"]).any()
        log = (folder / "logs" / "fit_debug.log").read_text().splitlines()
        assert sum("loss breakdown" in line for line in log) == epochs * steps_per_epoch
        assert sum("INFO: Epoch" in line for line in log) == epochs
    return found
