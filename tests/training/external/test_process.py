"""Programs are started, followed and ended with all that they started, whoever dies first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweep.training.external.process import OUTPUT, LineFile, Program

# Starts a process of its own, writes both numbers and waits.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + PARENT
# A worker: runs the program given to it, and waits.
WORKER = """
import sys, time
from pathlib import Path
from sweep.training.external.process import Program
with Program([sys.executable, "-c", sys.argv[1]], Path(sys.argv[2]), env={}, grace=0.5) as program:
    time.sleep(600)
"""


def python(code: str, folder: Path, **more: object) -> Program:
    return Program([sys.executable, "-c", code], folder, env={}, grace=0.5, **more)


def wait_for(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pids(folder: Path) -> list[int]:
    """What :data:`PARENT` wrote."""
    wait_for(lambda: (folder / OUTPUT).exists() and (folder / OUTPUT).read_text().endswith("\n"))
    return [int(word) for word in (folder / OUTPUT).read_text().split()]


@pytest.mark.parametrize("code", [PARENT, STUBBORN], ids=["heeds SIGTERM", "ignores SIGTERM"])
@pytest.mark.parametrize("how", ["end", "error"])
def test_nothing_is_left_when_the_block_ends(code, how, tmp_path):
    with (
        pytest.raises(ZeroDivisionError) if how == "error" else python("", tmp_path),
        python(code, tmp_path) as program,
    ):
        found = pids(tmp_path)
        assert all(map(lives, found))
        assert program.status is None
        assert program.group == found[0]
        if how == "error":
            raise ZeroDivisionError
    wait_for(lambda: not any(map(lives, found)), 5)
    assert program.status in (128 + signal.SIGTERM, 128 + signal.SIGKILL)


@pytest.mark.parametrize("code", [PARENT, STUBBORN], ids=["heeds SIGTERM", "ignores SIGTERM"])
def test_nothing_is_left_when_the_worker_is_killed(code, tmp_path):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, code, str(tmp_path)])
    found = pids(tmp_path)
    assert all(map(lives, found))
    worker.kill()
    worker.wait()
    wait_for(lambda: not any(map(lives, found)), 10)


def test_the_guard_may_be_killed_too(tmp_path):
    with python(PARENT, tmp_path) as program:
        found = pids(tmp_path)
        os.kill(program._guard.pid, signal.SIGKILL)
        wait_for(lambda: program.status is not None)
        assert program.status == 128 + signal.SIGKILL
    wait_for(lambda: not any(map(lives, found)), 5)


def test_a_child_that_outlives_the_program_is_ended_too(tmp_path):
    with python(PARENT.replace("time.sleep(600)\n", ""), tmp_path) as program:
        _, child = pids(tmp_path)
        wait_for(lambda: program.status is not None)
        assert program.status == 0
    wait_for(lambda: not lives(child), 5)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("print('a'); print('b\\x1b[31m'); raise SystemExit(3)", 3, ["status 3", "a | b"]),
        ("import os; os.kill(os.getpid(), 9)", 137, ["SIGKILL", "printed nothing"]),
        ("pass", 0, ["status 0"]),
    ],
)
def test_how_it_ended_is_told(code, status, words, tmp_path):
    with python(code, tmp_path) as program:
        wait_for(lambda: program.status is not None)
    assert program.status == status
    text = program.describe_end()
    assert all(word in text for word in words)
    assert text.isprintable()


def test_a_program_that_is_not_there(tmp_path):
    with Program(["/no/such/program"], tmp_path, env={}, grace=0.5) as program:
        wait_for(lambda: program.status is not None)
    assert program.status == 127
    assert "/no/such/program: No such file or directory" in program.describe_end()


def test_it_sees_its_environment_and_reads_nothing(tmp_path):
    code = "import os, sys; print(os.environ['MINE'], os.getcwd(), repr(sys.stdin.read()))"
    with Program([sys.executable, "-c", code], tmp_path, env={"MINE": "3"}, grace=1) as program:
        wait_for(lambda: program.status is not None)
    assert (tmp_path / OUTPUT).read_text() == f"3 {tmp_path} ''\n"


def test_lines_are_read_when_they_are_whole(tmp_path):
    path = tmp_path / "log"
    file = LineFile(path)
    assert file.read() == []
    with path.open("ab", buffering=0) as log:
        log.write(b"one\ntw")
        assert file.read() == ["one"]
        log.write(b"o\r\n\xff three\nfour")
        assert file.read() == ["two", "\N{REPLACEMENT CHARACTER} three"]
    assert file.read() == []
    assert file.read(rest=True) == ["four"]
    assert file.read(rest=True) == []


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    file = LineFile(path)
    assert file.read() == ["one", "two"]
    path.write_text("three\n")
    assert file.read() == ["three"]
