"""A sweep and its workers hear each other, also when one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types

import pytest

from sweep.workers import session as sessions
from sweep.workers.heartbeat import Heartbeat
from sweep.workers.session import Session


@pytest.fixture
def session(tmp_path):
    """The sweep's side."""
    session = Session.create(tmp_path, detached=False)
    yield session
    session.end()


def other_side(session: Session, *, detached: bool = False) -> Session:
    return Session(session.folder, detached=detached)


def test_two_sessions_have_two_folders(tmp_path):
    first = Session.create(tmp_path, detached=True)
    first.end()
    assert first.folder.parent == tmp_path / "workers"
    assert str(os.getpid()) in first.folder.name


def test_a_worker_hears_the_stop(session):
    worker = other_side(session)
    assert not worker.stop_requested()
    session.request_stop(now=False)
    assert worker.stop_requested()
    assert not worker.stop_now_requested()
    session.request_stop(now=True)
    assert worker.stop_requested()
    assert worker.stop_now_requested()


def test_a_worker_ends_with_its_sweep_unless_detached(session):
    worker, detached = other_side(session), other_side(session, detached=True)
    assert not worker.stop_requested()
    session.end()  # as the kernel does when the process dies
    assert worker.stop_requested()
    assert not detached.stop_requested()


def test_the_sweep_hears_how_workers_fare(session, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    worker = other_side(session)
    assert session.statuses() == []
    worker.report(1, "starting")
    worker.report(0, "failed", "loss.esps: no label")
    failed, starting = session.statuses()
    assert (failed.index, failed.is_over, failed.error) == (0, True, "loss.esps: no label")
    assert (starting.index, starting.is_over, starting.job) == (1, False, "42")
    assert starting.silent_seconds < 60
    worker.report(1, "ended")
    assert session.statuses()[1].is_over


@pytest.mark.parametrize("offset", [-1e6, -300.0, 0.0, 300.0, 1e6])
def test_the_clock_of_a_workers_node_does_not_matter(session, monkeypatch, offset):
    """One that is late or early by minutes or days: alive while it beats, dead when it stops."""
    now = [100.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(sessions, "time", clock)
    worker = other_side(session)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sessions, "node", lambda: "another node")
        worker.report(0, "working")
    path = session.folder / "0" / "status.json"
    for beat in range(10):
        os.utime(path, (time.time() + offset + beat,) * 2)
        assert session.statuses()[0].is_alive, beat
        now[0] += 60.0
    assert session.statuses()[0].is_alive
    now[0] += 70.0
    (dead,) = session.statuses()
    assert not dead.is_alive
    assert dead.silent_seconds == 130.0


def test_a_heart_beats_until_it_is_left():
    beats = []
    with Heartbeat(lambda: beats.append(time.monotonic()), lambda: False):
        deadline = time.monotonic() + 10
        while not beats and time.monotonic() < deadline:
            time.sleep(0.02)
    count = len(beats)
    assert count >= 1
    time.sleep(0.7)
    assert len(beats) == count


def test_a_file_system_that_does_not_answer_stops_no_heart():
    beats = []

    def beat():
        beats.append(1)
        raise OSError("stale file handle")

    with Heartbeat(beat, lambda: False) as heart:
        deadline = time.monotonic() + 10
        while not beats and time.monotonic() < deadline:
            time.sleep(0.02)
        assert heart._thread.is_alive()


DYING = """
import time
from sweep.workers.heartbeat import Heartbeat
with Heartbeat(lambda: None, lambda: True):
    time.sleep(60)
"""


def test_a_process_that_shall_end_at_once_ends_at_once():
    done = subprocess.run([sys.executable, "-c", DYING], check=False, timeout=30)
    assert done.returncode == 130


def test_a_sweep_sees_whether_it_is_alone(session, tmp_path):
    assert session.is_alone()
    other = Session.create(tmp_path / "x", detached=True)
    os.rename(other.folder, session.folder.parent / "other")
    assert not session.is_alone()
    other.end()
    assert session.is_alone()
