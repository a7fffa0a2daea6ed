"""Launchers are told apart in one place."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import OmegaConf

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.hydra_plugin.launching import launch_with, plain_outputs
from sweep.workers.launchers import LAUNCHERS, LauncherKind, launcher_kind

JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def test_the_one_of_conf_runs_processes_of_this_machine():
    target = OmegaConf.load(CONF_DIR / "hydra/launcher/local.yaml")._target_
    assert launcher_kind(target) is LauncherKind.LOCAL


def test_every_launcher_of_the_table_exists_under_its_name():
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


def launching(folder, launcher):
    target = f"hydra_plugins.hydra_submitit_launcher.submitit_launcher.{launcher}"
    return OmegaConf.create(
        {"hydra": {"sweep": {"dir": str(folder)},
                   "launcher": {"_target_": target, "submitit_folder": f"{folder}/out/%j"}}}
    )  # fmt: skip


def test_a_tag_of_submitit_in_a_studys_folder_is_a_name(tmp_path):
    folder = tmp_path / "10%jitter"
    (folder / "workers").mkdir(parents=True)
    with plain_outputs(launching(folder, "LocalLauncher")) as config:
        outputs = Path(config.hydra.launcher.submitit_folder)
        assert "%" not in str(outputs.parent)
        assert outputs.parent.parent.resolve() == folder / "workers"
    with (
        pytest.raises(InputError, match=r"hydra.sweep.dir: .* %j, which Slurm replaces"),
        plain_outputs(launching(folder, "SlurmLauncher")),
    ):
        pass
    plain = launching(tmp_path, "SlurmLauncher")
    with plain_outputs(plain) as config:
        assert config == plain


def test_a_losses_folder_of_the_user_is_not_taken_for_ours(tmp_path):
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "__init__.py").write_text("raise RuntimeError('of the user')\n")
    code = "import sweep.config.checks, losses; print(losses.get('forces').name)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(CONF_DIR.parent)},
    )  # fmt: skip
    assert (ran.stdout, ran.returncode) == ("forces\n", 0), ran.stderr


def test_workers_can_be_launched_from_several_threads(tmp_path, monkeypatch, load_config):
    """To copy a configuration changes it for a moment; each thread has its own."""
    config = load_config("+experiment=smoke", hydra=True)
    folder = tmp_path / "outputs" / "smoke"
    process = SimpleNamespace(
        spec=SimpleNamespace(template=config, folder=folder), session=folder / "workers" / "now"
    )
    found = []

    class Launcher:
        def __init__(self, hydra_context, config):
            self.template, self.config = hydra_context.config_loader, config

        def launch(self, overrides, initial_job_idx):
            own = self.template.load_sweep_config(self.config, overrides[0])
            found.append((str(own.hydra.sweep.dir), str(own.hydra.sweep.subdir)))

    monkeypatch.setattr(
        Plugins, "instantiate_launcher",
        lambda _, hydra_context, task_function, config: Launcher(hydra_context, config),
    )  # fmt: skip
    launch = launch_with(HydraContext(config_loader=None, callbacks=Callbacks()), config, process)
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(launch, 1, first) for first in range(40)]:
            done.result()
    assert sorted(found) == sorted(("outputs/smoke", f"workers/now/{i}") for i in range(40))
