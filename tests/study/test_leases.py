"""A trial belongs to one worker, until that worker is dead: on this node, or on another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import light_worker
import pytest

from sweep.errors import LeaseLostError
from sweep.study import leases
from sweep.study.leases import Leases


def test_a_lease_excludes_until_it_is_released(tmp_path):
    first, second = Leases(tmp_path), Leases(tmp_path)
    lease = first.take(3)
    assert lease is not None
    assert second.take(3) is None
    assert first.take(3) is None
    assert second.take(4) is not None
    lease.check()
    lease.release()
    lease.release()  # giving back what one does not hold changes nothing
    again = second.take(3)
    assert again is not None
    again.check()
    with pytest.raises(LeaseLostError, match="taken over"):
        lease.check()


HOLDER = """
import sys, time
from pathlib import Path
from sweep.study.leases import Leases
lease = Leases(Path(sys.argv[1])).take(0)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process of this node that holds the lease of trial 0."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_trial_of_a_killed_worker_is_free_at_once(tmp_path, holder):
    waiting = Leases(tmp_path)
    assert waiting.take(0) is None
    holder.kill()
    holder.wait()
    assert waiting.take(0) is not None


def test_the_trial_of_a_paused_worker_of_this_node_is_never_taken(tmp_path, holder):
    """Its heart stands still, as on a laptop that sleeps, but it lives."""
    os.kill(holder.pid, signal.SIGSTOP)
    impatient = Leases(tmp_path, grace_seconds=0.05)
    for _ in range(3):
        assert impatient.take(0) is None
        time.sleep(0.05)


@pytest.fixture
def elsewhere(tmp_path):
    """The lease of trial 0 as left by another node, whose flock locks are not seen here."""
    path = tmp_path / "0000" / "0"
    path.parent.mkdir()
    path.write_text(json.dumps({"node": "another node", "pid": 1}))
    return path


def test_a_worker_elsewhere_is_dead_when_its_heart_has_stood_still(tmp_path, elsewhere):
    here = Leases(tmp_path, grace_seconds=0.2)
    assert here.take(0) is None  # seen for the first time
    time.sleep(0.25)
    os.utime(elsewhere)  # a beat
    assert here.take(0) is None
    time.sleep(0.1)
    assert here.take(0) is None
    time.sleep(0.15)
    assert here.take(0) is not None


def test_the_clock_of_another_node_does_not_matter(tmp_path, elsewhere):
    os.utime(elsewhere, (1.0, 1.0))  # decades ago
    assert Leases(tmp_path).take(0) is None


def test_what_a_worker_elsewhere_released_is_free_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "node", lambda: "another node")
    Leases(tmp_path).take(0).release()
    monkeypatch.undo()
    assert Leases(tmp_path).take(0) is not None


def test_a_worker_that_comes_back_late_finds_its_lease_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "node", lambda: "another node")
    monkeypatch.setattr(leases.fcntl, "flock", lambda *_: None)  # not seen between nodes
    late = Leases(tmp_path).take(0)
    monkeypatch.undo()
    impatient = Leases(tmp_path, grace_seconds=0.0)
    assert impatient.take(0) is None
    taken = impatient.take(0)
    assert taken is not None
    late.beat()  # does not help
    with pytest.raises(LeaseLostError):
        late.check()
    taken.check()


SLEEPER = """
import sys
from pathlib import Path
from sweep.study import leases
leases.node = lambda: "another node"
leases.fcntl.flock = lambda *_: None  # not seen between nodes
import light_worker
light_worker.main(Path(sys.argv[1]), None, 2, 4, 0.3)
"""
IMPATIENT = """
import sys
from pathlib import Path
from sweep.study import leases
leases.Leases.__init__.__kwdefaults__ = {"grace_seconds": 1.0}
import light_worker
light_worker.main(Path(sys.argv[1]), None, 2, 4, 0.01)
"""


def test_a_laptop_that_wakes_up_drops_its_trial_before_it_writes(tmp_path):
    """It slept past the grace; another node's worker has finished its trial meanwhile."""
    study = tmp_path / "study"

    def start(program):
        path = [
            *os.environ.get("PYTHONPATH", "").split(":"),
            str(Path(light_worker.__file__).parent),
        ]
        return subprocess.Popen(
            [sys.executable, "-c", program, study], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": ":".join(path)},
        )  # fmt: skip

    sleeper = start(SLEEPER)
    try:
        deadline = time.monotonic() + 60
        while not (study / "trials" / "0000" / "checkpoint.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(sleeper.pid, signal.SIGSTOP)
        other = start(IMPATIENT)
        assert other.communicate(timeout=60) == ("", None)
        records = sorted(path for path in study.glob("trials/*/*") if path.is_file())
        before = {path: (path.stat().st_ino, path.read_bytes()) for path in records}
        os.kill(sleeper.pid, signal.SIGCONT)
        said, _ = sleeper.communicate(timeout=60)
        assert said.startswith("lost: ")
        assert sleeper.returncode == 0
        assert {path: (path.stat().st_ino, path.read_bytes()) for path in records} == before
    finally:
        sleeper.kill()
        sleeper.wait()


def test_of_many_that_take_over_at_once_one_succeeds(tmp_path, elsewhere):
    hands = [Leases(tmp_path, grace_seconds=0.0) for _ in range(8)]
    for hand in hands:
        hand.take(0)
    barrier, won = threading.Barrier(len(hands)), []

    def take(hand):
        barrier.wait()
        if lease := hand.take(0):
            won.append(lease)

    threads = [threading.Thread(target=take, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].check()


@pytest.mark.parametrize("content", ["", "{", "\0\0\0"])
def test_a_damaged_lease_is_nobodys(tmp_path: Path, elsewhere, content):
    elsewhere.write_text(content)
    assert Leases(tmp_path).take(0) is not None
