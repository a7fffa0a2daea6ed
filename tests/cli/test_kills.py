"""Kills at random moments: of workers, of submitit's controllers of them, of the sweep itself.

By hand there can be more, ``python -m pytest -m slow tests/cli/test_kills.py --kills 1000``, or
others: ``--kills-seed 7``, ``--kills-pause 5``.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from study_process import FINISHED, SMOKE, Command, check_study, kill, run, trials, working

from sweep.search.outside import OVERRIDES

pytestmark = pytest.mark.slow

N_EPOCHS = 30
ARGUMENTS = [
    "train_schedule.0.end=19", "train_schedule.1.start=20", f"train_schedule.1.end={N_EPOCHS - 1}",
]  # fmt: skip


@pytest.fixture(params=["journal", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "journal":
        return None
    return request.getfixturevalue("postgresql").create("kills")


class Killer:
    """Runs a study, kills what belongs to it, and runs it again.

    Attributes:
        kills: How many of each kind.
        n_trials: To finish in total; grows while there are kills to be done.
        kept: Fingerprints of finished trials, taken on the way.
    """

    def __init__(
        self,
        folder: Path,
        arguments: list[str],
        url: str | None,
        *,
        n_kills: int,
        pause: float,
        seed: int,
    ) -> None:
        self.study = folder / "outputs" / "smoke"
        self.kills: Counter[str] = Counter()
        self.n_kills = n_kills
        self.n_trials = 14
        self.kept: dict[int, str] = {}
        self._folder = folder
        self._arguments = arguments
        self._url = url
        self._longest = pause
        self._chance = random.Random(seed)
        self._commands: list[Command] = []

    def run(self) -> None:
        """Until there were enough kills and the study is done."""
        try:
            while True:
                command = self._start()
                while command.process.poll() is None:
                    if self.kills.total() >= self.n_kills:
                        command.wait(3600)  # of a busy machine
                        break
                    self._pause(command)
                    self._kill(command)
                    self._look()
                status = command.process.returncode
                # Three killed at the start one after the other: the sweep gives up, and says so.
                gave_up = status == 1 and "run again to go on" in command.output
                assert status in (0, -9) or gave_up, command.output
                if status == 0:
                    if self.kills.total() >= self.n_kills:
                        break
                    self.n_trials += 4
            for command in self._commands:
                command.wait_for_others()
        finally:
            for command in self._commands:
                command.kill_all()

    def _start(self) -> Command:
        n_trials = f"hydra.sweeper.n_trials={self.n_trials}"
        command = Command(self._folder, *SMOKE, *self._arguments, n_trials)
        self._commands.append(command)
        return command

    def _pause(self, command: Command) -> None:
        """Wait a random time, mostly from when a worker trains: most of its life, it starts."""
        deadline = time.monotonic() + self._chance.choice([0, 90, 90])
        while time.monotonic() < deadline and command.process.poll() is None:
            if any(Path(f"/proc/{pid}").exists() for pid in working(self.study)):
                break
            time.sleep(0.1)
        time.sleep(self._chance.uniform(0, self._longest))

    def _kill(self, command: Command) -> None:
        """Kill the sweep or any process that it, or one that was killed before it, started."""
        victims = {command.process.pid: "sweep"} if command.process.poll() is None else {}
        for pid in (pid for known in self._commands for pid in known.others()):
            with contextlib.suppress(OSError):  # it may have ended
                name = Path(f"/proc/{pid}/cmdline").read_text()
                kind = "starting worker" if "submitit.core._submit" in name else "controller"
                victims[pid] = "worker" if pid in working(self.study) else kind
        odds = {"sweep": 2.0, "worker": 6.0, "starting worker": 1.0, "controller": 0.5}
        if not victims:
            return
        (pid,) = self._chance.choices([*victims], [odds[kind] for kind in victims.values()])
        self.kills[victims[pid]] += kill(pid)
        if pid == command.process.pid:
            command.process.wait()

    def _look(self) -> None:
        """Remember what finished trials look like; they must not change any more."""
        if not (self.study / "trials").exists():
            return
        for trial in trials(self.study, self._url):
            if trial.state in FINISHED and trial.number not in self.kept:
                self.kept[trial.number] = self.fingerprint(trial.number)

    def fingerprint(self, number: int) -> str:
        """Of what a trial left behind."""
        folder = self.study / "trials" / f"{number:04d}"
        files = ("trial.json", "breakdown.parquet", "metrics.parquet", "best.pt")
        content = b"".join((folder / name).read_bytes() for name in files)
        return hashlib.sha256(content).hexdigest()


def n_owners(study: Path, number: int) -> int:
    """How many workers a trial had, one after the other."""
    return sum(path.name.isdigit() for path in (study / "leases" / f"{number:04d}").iterdir())


def test_many_kills_lose_nothing_and_change_no_number(url, tmp_path, tiny_overrides, request):
    storage = [] if url is None else [f"hydra.sweeper.storage={url}"]
    arguments = [*tiny_overrides, *ARGUMENTS]
    began = time.monotonic()
    killer = Killer(
        tmp_path, ["hydra.sweeper.n_jobs=2", *arguments, *storage], url,
        n_kills=max(1, request.config.getoption("kills") // 2),
        pause=request.config.getoption("kills_pause"),
        seed=request.config.getoption("kills_seed") + bool(url),
    )  # fmt: skip
    killer.run()
    seconds = time.monotonic() - began

    study = killer.study
    found = check_study(study, n_trials=killer.n_trials, n_epochs=N_EPOCHS, url=url)
    for number, before in killer.kept.items():
        assert killer.fingerprint(number) == before, f"trial {number} changed after its end"
    logs = "".join(path.read_text() for path in study.glob("workers/submitit/*/*.out"))
    assert "while this worker stood still" not in logs  # nobody who lived was taken for dead
    assert "locked" not in logs
    owners = {trial.number: n_owners(study, trial.number) for trial in found}
    print(
        f"\n{dict(killer.kills)} killed in {seconds:.0f} s; {len(found)} trials, "
        f"{len(killer.kept)} of them finished between kills, "
        f"{sum(n > 1 for n in owners.values())} continued by another worker, one of them "
        f"{max(owners.values()) - 1} times, "
        f"{sum(len(t.intermediate_values) for t in found)} epochs"
    )
    # Those that changed hands most often, against the same training without a break.
    for number in sorted(owners, key=lambda number: -owners[number])[:2]:
        trial = found[number]  # a reference may be no point of the search space
        weights = trial.params | trial.user_attrs.get(OVERRIDES, {})
        once = tmp_path / "once" / str(number)
        words = [f"{key}={value!r}" for key, value in weights.items()]
        run(tmp_path, SMOKE[0], *arguments, *words, f"hydra.run.dir={once}")
        broken = pd.read_parquet(study / "trials" / f"{number:04d}" / "breakdown.parquet")
        whole = pd.read_parquet(once / "breakdown.parquet").head(len(broken))
        pd.testing.assert_frame_equal(broken, whole, check_exact=True)
