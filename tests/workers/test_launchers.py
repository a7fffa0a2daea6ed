"""Launchers are told apart in one place."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.workers.launchers import LAUNCHERS, LauncherKind, launcher_kind

JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def test_the_one_of_conf_runs_processes_of_this_machine():
    target = OmegaConf.load(CONF_DIR / "hydra/launcher/local.yaml")._target_
    assert launcher_kind(target) is LauncherKind.LOCAL


def test_every_launcher_of_the_table_exists_under_its_name():
    from hydra.core.plugins import Plugins
    from hydra.plugins.launcher import Launcher

    found = {f"{c.__module__}.{c.__name__}" for c in Plugins.instance().discover(Launcher)}
    assert set(LAUNCHERS) <= found


def test_one_that_nobody_knows_is_taken_for_a_cluster():
    assert launcher_kind("hydra_plugins.mine.PBSLauncher") is LauncherKind.CLUSTER


def test_joblib_is_refused_with_what_is_valid():
    with pytest.raises(
        InputError, match=r"^hydra/launcher: joblib .*valid: local .*submitit_slurm"
    ):
        launcher_kind(JOBLIB)


def test_the_command_refuses_joblib_in_one_line(command):
    chosen = ["hydra/launcher=submitit_local", f"hydra.launcher._target_={JOBLIB}"]
    result = command("+experiment=smoke", "-m", *chosen)
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith("error: hydra/launcher: joblib ends all workers")


def test_without_its_plugin_joblib_is_an_unknown_option(command):
    result = command("+experiment=smoke", "-m", "hydra/launcher=job_lib")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith("error: hydra/launcher: unknown option 'job_lib'")
    assert "local" in line
    assert "submitit_slurm" in line
