"""A study in the folder of a group: its users let nobody in (umask 077), or the group (007)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from needed import missing
from study_process import check_study

pytestmark = pytest.mark.slow

ALICE, BOB, GROUP = 64001, 64002, 64000
# The interpreter may lie where only root can read; what is written is what this is about, and of
# what the other user reads, tests/cli/test_day.py.
READ = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
SHORT = ["+experiment=smoke", "-m", "hydra.sweeper.n_jobs=1", "train_schedule.0.end=0",
         "train_schedule.1.start=1", "train_schedule.1.end=1"]  # fmt: skip


@pytest.fixture
def shared():
    """A folder of the group; ``tmp_path`` is for root's eyes only."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        missing("two users of a group", "run the test as root, with setpriv")
    with tempfile.TemporaryDirectory() as around:
        os.chmod(around, 0o755)
        folder = Path(around, "shared")
        folder.mkdir()
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2770)
        yield folder


@pytest.fixture
def as_user(shared, tiny_overrides):
    """Run the command as a user of the group: ``as_user(ALICE, 0o077, n_trials)``."""

    def run(user: int, umask: int, n_trials: int) -> tuple[int, str]:
        home = shared.parent / str(user)
        home.mkdir(exist_ok=True)
        os.chown(home, user, user)
        who = ["--reuid", str(user), "--regid", str(user), "--groups", str(GROUP)]
        done = subprocess.run(
            ["setpriv", *who, *READ, sys.executable, "-m", "sweep", *SHORT, *tiny_overrides,
             f"hydra.sweep.dir={shared / 'smoke'}", f"hydra.sweeper.n_trials={n_trials}"],
            cwd=shared, umask=umask, capture_output=True, text=True, check=False, timeout=500,
            env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, (done.stderr.splitlines() or [""])[-1]

    return run


def test_who_may_go_on_with_a_study(as_user, shared):
    study = shared / "smoke"
    assert as_user(ALICE, 0o077, 1) == (0, "")
    status, line = as_user(BOB, 0o077, 2)
    assert status == 1
    assert line.startswith(f"error: {study}")
    assert f"Permission denied; {study / 'workers'} is user {ALICE}'s" in line
    assert "chmod -R g+rwX" in line

    subprocess.run(["chmod", "-R", "g+rwX", study], check=True)
    assert as_user(BOB, 0o007, 2) == (0, "")
    assert as_user(ALICE, 0o007, 3) == (0, "")
    check_study(study, n_trials=3, n_epochs=2)


def test_trials_that_another_user_hides_are_not_gone(make_study):
    if os.geteuid() != 0:
        missing("a second user", "run the test as root")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(make_study("mine", n_trials=3), study := Path(folder, "mine"))
        hidden = study / "trials" / "0001"
        os.chown(hidden, BOB, GROUP)
        hidden.chmod(0o700)
        check_as_alice(study, hidden)


def check_as_alice(study, hidden):
    code = f"""
import os
from pathlib import Path
from sweep.cli.program import guarded
from sweep.study.lost import check_readable
study = Path({str(study)!r})
check_readable(study)
os.setgid({ALICE}); os.setuid({ALICE})
raise SystemExit(guarded(lambda: check_readable(study)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {hidden}: Permission denied; {hidden} is user {BOB}'s, who can let the group in: "
        f"chmod -R g+rwX {hidden}\n"
    )
