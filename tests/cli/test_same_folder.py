"""Two trainings in one folder: the second ends at once, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from study_process import Command

from sweep.study.leases import Leases

ONCE = ["+experiment=smoke", "hydra.run.dir=once"]
N_EPOCHS, N_STEPS = 30, 3  # of the tiny data in batches of four
LONG = [
    "train_schedule.0.end=9", "train_schedule.1.start=10",
    f"train_schedule.1.end={N_EPOCHS - 1}",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_second_ends_at_once_and_the_next_goes_on(tmp_path, tiny_overrides, number):
    words, once = [*ONCE, *LONG, *tiny_overrides], tmp_path / "once"
    with Command(tmp_path, *words) as first:
        first.wait_for((once / "checkpoint.pt").exists)
        os.kill(first.process.pid, signal.SIGSTOP)  # nothing but the second may write
        before = contents(once)
        with Command(tmp_path, *words) as second:
            assert second.wait() == 1
        assert contents(once) == before
        assert second.output.splitlines() == [
            f"error: {once}: process {first.process.pid} trains there; wait for its end, or give "
            "this training its own hydra.run.dir"
        ]
        os.kill(first.process.pid, signal.SIGCONT)
        os.kill(first.process.pid, number)
        assert first.wait() in (-signal.SIGKILL, 130), first.output
    began = json.loads((once / "trial.json").read_text())["started"]
    with Command(tmp_path, *words) as third:
        assert third.wait() == 0, third.output
    record = json.loads((once / "trial.json").read_text())
    assert (record["state"], record["started"]) == ("COMPLETE", began)
    assert "restarted" not in record
    steps = pd.read_parquet(once / "breakdown.parquet").groupby("epoch").size()
    assert steps.index.tolist() == list(range(N_EPOCHS))
    assert steps.nunique() == 1


def contents(folder: Path) -> dict[Path, bytes]:
    """Of all files but those that Hydra writes before it calls a program."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".hydra" not in path.parts
    }


def test_a_folder_that_is_held_is_left_as_it_is(command, folder):
    lease = Leases(folder / "mine" / "leases").take(0)
    before = contents(folder)
    held = command("hydra.run.dir=mine")
    assert (held.status, contents(folder)) == (1, before)
    assert held.err.splitlines() == [
        f"error: {folder / 'mine'}: process {os.getpid()} trains there; wait for its end, or give "
        "this training its own hydra.run.dir"
    ]
    lease.check()
    lease.release()
    free = command("hydra.run.dir=mine", "seed=-1")
    assert (free.status, "trains there" in free.err, "seed" in free.err) == (1, False, True)
    assert not (folder / "mine").exists()


@pytest.fixture
def elsewhere(folder) -> Path:
    """The lease of a process of another node, whose locks are not seen here."""
    path = folder / "mine" / "leases" / "0000" / "0"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"node": "n17 5e0c", "pid": 12}))
    return path


def test_a_process_of_another_host_is_named(command, folder, elsewhere):
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.3):
            os.utime(elsewhere)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        held = command("hydra.run.dir=mine", "seed=-1")
    finally:
        ended.set()
        thread.join()
    assert held.status == 1
    (line,) = held.err.splitlines()
    assert line.startswith(f"error: {folder / 'mine'}: process 12 on n17 trains there; ")
    assert "looking whether process 12 on n17 still trains there" in held.out


def test_one_of_another_host_that_died_is_waited_for_and_then_gone(
    command, folder, elsewhere, monkeypatch
):
    monkeypatch.setattr(Leases.__init__, "__kwdefaults__", {"grace_seconds": 1.5})
    began = time.monotonic()
    free = command("hydra.run.dir=mine", "seed=-1")
    assert 1.5 < time.monotonic() - began < 30
    assert (free.status, "trains there" in free.err, "seed" in free.err) == (1, False, True)
    assert not (folder / "mine").exists()
