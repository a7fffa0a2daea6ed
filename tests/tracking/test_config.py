"""What is wrong is said before anything is trained, and tracking is no part of a study."""

from __future__ import annotations

import pytest
import yaml

from sweep.config import tracking
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.config.tracking import TRACKERS
from sweep.errors import InputError
from sweep.search.space import SearchSpace
from sweep.study.definition import changes, definition
from sweep.training.job import _facts


def test_there_is_an_option_for_every_tracker():
    assert {path.stem for path in (CONF_DIR / "tracking").glob("*.yaml")} == set(TRACKERS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tracking.name=wand"], "tracking.name: unknown tracker 'wand'; did you mean 'wandb'?"),
        (["tracking=wandb", "tracking.mode=dry"],
         "tracking.mode: unknown mode 'dry'; valid: offline, online"),
        (["tracking=wandb", "tracking.project=''"], "tracking.project: must be a name; got ''"),
        (["tracking=wandb", "tracking.project=null"], "tracking.project: "),
        (["tracking=mlflow", "+tracking.project=x"],
         "tracking.project: unknown key 'project'; valid: experiment, name, uri"),
        (["tracking=mlflow", "tracking.uri=mlruns"],
         "tracking.uri: must begin with http://, https://, sqlite:///, "),
        (["tracking=mlflow", "tracking.uri='https://me:s3cr3t@host'"],
         "tracking.uri=https://me:***@host: a password would be recorded; write "),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_named(load_config, monkeypatch, words, message):
    monkeypatch.setattr(tracking, "_is_installed", lambda _: True)
    with pytest.raises(InputError) as caught:
        check_config(load_config(*words))
    assert str(caught.value).startswith(message)
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in TRACKERS if name != "none"])
def test_a_package_that_is_missing_is_named_with_its_extra(load_config, monkeypatch, name):
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(InputError) as caught:
        check_config(load_config(f"tracking={name}", *(["tracking.uri=null"] * (name == "mlflow"))))
    assert str(caught.value) == (
        f"tracking={name}: not installed: pip install 'mace-loss-sweep[{name}]'"
    )


def test_a_folder_of_wandb_is_no_package(load_config, monkeypatch, tmp_path):
    """As ``wandb.init`` makes one where it is called."""
    import sys

    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(InputError, match=r"^tracking=wandb: not installed"):
        check_config(load_config("tracking=wandb", "tracking.mode=offline"))


def test_an_unknown_option_is_one_line(command):
    result = command("tracking=wand")
    assert result.status == 1
    assert "tracking: unknown option 'wand'; did you mean 'wandb'?" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("more", [[], ["-m", "search=auto"]])
def test_a_password_is_recorded_nowhere(command, folder, more):
    run = folder / "outputs" / "mine"
    (run / "trials").mkdir(parents=True)  # there already, so that it is not removed again
    words = ["tracking=mlflow", "tracking.uri='https://me:s3cr3t@host'", f"hydra.run.dir={run}"]
    result = command(*words, "hydra.sweeper.study_name=mine", *more)
    assert result.status == 1
    assert "https://me:***@host" in result.err
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path


def test_a_password_of_the_environment_is_not_resolved(load_config, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:s3cr3t@host")
    monkeypatch.setattr(tracking, "_is_installed", lambda _: True)
    cfg = load_config("tracking=mlflow")
    stages = check_config(cfg)
    assert "s3cr3t" not in str(definition(cfg, SearchSpace()))
    assert "s3cr3t" not in str(_facts(cfg, stages))


def test_tracking_is_no_part_of_a_study(load_config):
    space = SearchSpace()
    plain = definition(load_config(), space)
    assert not [key for key in plain if "tracking" in key]
    for name in TRACKERS:
        assert changes(plain, definition(load_config(f"tracking={name}"), space)) == ""


def test_the_default_is_none():
    defaults = yaml.safe_load((CONF_DIR / "config.yaml").read_text())["defaults"]
    assert {"tracking": "none"} in defaults
