"""A day in the life of a search: many trials, a full disk, a folder that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from needed import missing
from study_process import SMOKE, Command, check_study

pytestmark = pytest.mark.slow

ONE = [*SMOKE, "hydra.sweeper.n_jobs=1"]
SHORT = ["train_schedule.0.end=0", "train_schedule.1.start=1", "train_schedule.1.end=1"]
NOBODY = 65534


def test_many_trials_in_one_worker(tmp_path, tiny_overrides, pytestconfig):
    """Memory and open files are those of the twentieth trial."""
    n_trials = pytestconfig.getoption("--day-trials")
    study = tmp_path / "outputs" / "smoke"
    arguments = [*ONE, *tiny_overrides, *SHORT, f"hydra.sweeper.n_trials={n_trials}",
                 "hydra/sweeper/pruner=none", "hydra/sweeper/sampler=random"]  # fmt: skip
    seen: list[tuple[int, int, int]] = []  # trials, kB, files
    with Command(tmp_path, *arguments) as command:
        process = Path("/proc") / str(command.process.pid)
        while command.process.poll() is None:
            n_begun = len(list(study.glob("trials/*")))
            try:
                status = (process / "status").read_text()
                n_files = len(list((process / "fd").iterdir()))
                memory = int(status.split("VmRSS:")[1].split()[0])
            except (OSError, IndexError):  # it has just ended
                break
            seen.append((n_begun, memory, n_files))
            time.sleep(0.2)
        assert command.wait(60) == 0, command.output
    check_study(study, n_trials=n_trials, n_epochs=2)
    early = [(m, f) for n, m, f in seen if 20 <= n < 40]
    late = [(m, f) for n, m, f in seen if n_trials - 20 <= n < n_trials]
    memory = [max(m for m, _ in part) / 1024 for part in (early, late)]
    files = [max(f for _, f in part) for part in (early, late)]
    assert memory[1] - memory[0] < 25, f"memory grows: {memory} MB"
    assert files[1] - files[0] <= 2, f"open files: {files}"


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path, megabytes: float) -> None:
        self.path = path
        path.mkdir()
        size = f"size={int(megabytes * 1024)}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", path], check=False)
        if done.returncode:
            missing("the right to mount a file system", "run the test as root")

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", 0.6)
    yield made
    subprocess.run(["umount", "-l", made.path], check=True)


def test_a_full_disk_stops_the_search_and_more_space_lets_it_go_on(disk, tiny_overrides):
    arguments = [*ONE, *tiny_overrides, *SHORT, "hydra.sweeper.n_trials=6",
                 "hydra/sweeper/pruner=none"]  # fmt: skip
    outputs = disk.path.parent / "output"
    study = disk.path / "smoke"
    arguments.append(f"hydra.sweep.dir={study}")
    with Command(outputs, *arguments) as command:
        status, output = command.wait(), command.output
    assert status == 1, output
    last = output.splitlines()[-1]
    assert last.startswith("error: ")
    assert "No space left on device" in last
    assert "Traceback" not in output
    disk.remount("size=100m")
    with Command(outputs, *arguments) as command:
        assert command.wait() == 0, command.output
    check_study(study, n_trials=6, n_epochs=2)


def test_a_folder_that_cannot_be_written(disk, tiny_overrides):
    disk.remount("size=100m")
    study = disk.path / "smoke"
    arguments = [*ONE, *tiny_overrides, *SHORT, f"hydra.sweep.dir={study}"]
    outputs = disk.path.parent / "output"
    with Command(outputs, *arguments, "hydra.sweeper.n_trials=2") as command:
        assert command.wait() == 0, command.output
    disk.remount("ro")
    for words in (
        [*arguments, "hydra.sweeper.n_trials=3"],
        ["compare", str(study)],
    ):
        with Command(outputs, *words) as command:
            assert command.wait() == 1, command.output
            lines = command.output.splitlines()
        assert lines[-1].startswith("error: "), lines
        assert "Read-only file system" in lines[-1]
        assert "Traceback" not in "".join(lines)
    with Command(outputs, "compare", str(study), "--out", str(outputs / "page")) as command:
        assert command.wait() == 0, command.output
    disk.remount("rw")
    check_study(study, n_trials=2, n_epochs=2)


AS_ANOTHER = f"""
import os, sys
from sweep.cli.compare import main as compare
from sweep.cli.export import main as export
own, theirs = sys.argv[1:]
assert compare([own, "--out", own + "/page"]) == 0  # imports all that it needs
assert export([own, "--format", "json", "--out", own + "/weights.json"]) == 0
print("here", flush=True)
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.stderr = sys.stdout
print("status", compare([theirs, "--out", "/tmp/nobody-page"]))
print("status", export([theirs, "--format", "json"]))
"""


def test_a_study_of_another_user_who_lets_nobody_in(tmp_path, make_study):
    """With umask 077 a folder is its owner's alone: that is said, in a line."""
    if os.geteuid() != 0:
        missing("a second user", "run the test as root")
    own, theirs = make_study("own", n_trials=4), make_study("theirs", n_trials=4)
    theirs.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, own, theirs],
        capture_output=True, text=True, check=False, cwd="/", timeout=200,
    )  # fmt: skip
    lines = done.stdout.partition("here\n")[2].splitlines()
    assert [line for line in lines if line.startswith("status")] == 2 * ["status 1"], done
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 2
    assert all(str(tmp_path) in line and "Permission denied" in line for line in errors)
    assert "Traceback" not in done.stdout + done.stderr
