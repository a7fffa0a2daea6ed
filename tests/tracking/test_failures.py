"""Whatever a tracker does, the training goes on, and the user is told once."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tracked_runs import options_of

from sweep.errors import InputError
from sweep.records import State
from sweep.tracking import follower as module
from sweep.tracking.follower import Tracking, check_access
from sweep.tracking.tracker import Tracker

STEPS = ("import", "open", "log", "close")


class Broken(Tracker):
    """Fails at one of its steps."""

    at = "log"

    def _step(self, name: str) -> None:
        if name == self.at:
            raise RuntimeError("no route\nto https://me:s3cr3t@host")

    def open(self, info, run_id, n_epochs):
        self._step("open")
        return "id", n_epochs

    def log(self, epoch, values):
        warnings.warn("a tracker's own", DeprecationWarning, stacklevel=1)
        self._step("log")

    def close(self, state, reason, epoch, values):
        self._step("close")


def tracking(folder: Path, said: list[str], **options: object) -> Tracking:
    node = OmegaConf.create({"name": "tensorboard", **options})
    return Tracking(node, folder, study="mine", tell=said.append)


def follow(tracking: Tracking, number: int) -> None:
    name = f"{number:04d}"
    follower = tracking.follow(tracking.folder.parent / "trials" / name, name)
    follower.begin()
    follower.epoch(4, is_new=True)
    follower.end(State.COMPLETE)


@pytest.mark.parametrize("at", STEPS)
def test_a_failure_is_told_once_and_stops_nothing(at, write, tmp_path, monkeypatch):
    def kind(_: str) -> type[Tracker]:
        if at == "import":
            raise ImportError("No module named 'tensorboard'")
        return type("Kind", (Broken,), {"at": at})

    monkeypatch.setattr(module, "_kind", kind)
    said: list[str] = []
    one = tracking(tmp_path / "mine", said)
    for number in range(2):
        write(number, state="COMPLETE")
        follow(one, number)
    what = "No module named 'tensorboard'" if at == "import" else "no route to https://me:***@host"
    assert said == [f"tracking=tensorboard: {what}; the training goes on without"]


def test_what_failed_is_made_up_for_when_the_trial_goes_on(write, tmp_path, monkeypatch):
    seen: list[int] = []

    class Flaky(Broken):
        def log(self, epoch, values):
            if epoch == 2 and not seen.count(-1):
                seen.append(-1)
                raise OSError("network is down")
            seen.append(epoch)

    monkeypatch.setattr(module, "_kind", lambda _: Flaky)
    write(state="COMPLETE")
    for _ in range(2):
        follow(tracking(tmp_path / "mine", []), 0)
    assert seen == [0, 1, -1, 2, 3, 4]


def test_ctrl_c_is_no_failure(write, tmp_path, monkeypatch):
    class Interrupted(Broken):
        def log(self, epoch, values):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_kind", lambda _: Interrupted)
    write(state="COMPLETE")
    with pytest.raises(KeyboardInterrupt):
        follow(tracking(tmp_path / "mine", []), 0)


def test_a_folder_that_cannot_be_written(tracker, write, tmp_path):
    folder = write(state="COMPLETE").parents[1]
    (folder / "tracking").write_text("in the way")
    said: list[str] = []
    follow(Tracking(options_of(tracker), folder, study="mine", tell=said.append), 0)
    (line,) = said
    assert line.startswith(f"tracking={tracker}: ")


def test_a_server_that_does_not_answer(write, tmp_path, monkeypatch):
    options_of("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write(state="COMPLETE")
    said: list[str] = []
    uri = "http://127.0.0.1:9"
    follow(tracking(tmp_path / "mine", said, name="mlflow", uri=uri, experiment="x"), 0)
    (line,) = said
    assert line.startswith("tracking=mlflow: ")
    assert line.endswith("; the training goes on without")


def test_a_disk_that_is_full_later(write, tmp_path):
    """The folder of event files vanishes while it is written to."""
    options_of("tensorboard")
    write(n_epochs=1)
    said: list[str] = []
    one = tracking(tmp_path / "mine", said)
    follower = one.follow(tmp_path / "mine" / "trials" / "0000", "0000")
    follower.begin()
    shutil.rmtree(one.folder)
    one.folder.write_text("in the way")
    follower.epoch(0, is_new=True)
    follower.end(State.FAILED)
    assert len(said) == 1


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """No key of wandb anywhere."""
    options_of("wandb")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))

    def forget() -> None:
        import wandb

        wandb.teardown()

    forget()
    return forget


def test_wandb_is_asked_for_a_key_before_anything_is_trained(logged_out, monkeypatch, tmp_path):
    online = OmegaConf.create({"name": "wandb", "mode": "online"})
    with pytest.raises(InputError, match=r"^tracking=wandb: not logged in: .*WANDB_API_KEY"):
        check_access(online)
    check_access(OmegaConf.create({"name": "wandb", "mode": "offline"}))
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password abc\n")
    check_access(online)
    (tmp_path / "netrc").write_text("machine elsewhere login user password abc\n")
    with pytest.raises(InputError, match="not logged in"):
        check_access(online)
    monkeypatch.setenv("WANDB_API_KEY", 40 * "a")
    logged_out()
    check_access(online)
    logged_out()


def test_a_package_that_is_broken_is_an_error_before_any_training(monkeypatch):
    def kind(_: str) -> type[Tracker]:
        raise ImportError("cannot import name 'x'\nfrom y")

    monkeypatch.setattr(module, "_kind", kind)
    message = r"^tracking=mlflow: cannot be imported \(cannot import name 'x' from y\): pip install"
    with pytest.raises(InputError, match=message):
        check_access(OmegaConf.create({"name": "mlflow"}))
