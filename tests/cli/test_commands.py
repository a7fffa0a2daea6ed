"""Every sub-command as a user runs it, and what they have in common."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import sweep
from sweep.cli.app import COMMANDS, main
from sweep.hydra_plugin.registration import StudySweeperConfig

ROOT = Path(__file__).parents[2]
LOG = "2026-02-25 11:59:19.214 DEBUG: loss breakdown: forces: {}, esps: 2.0, \n"
MODULES = {
    "compare": "sweep.compare",
    "export": "sweep.export",
    "plot": "sweep.plot_batch_losses",
    "dashboard": "sweep.dashboard",
    "generate": "sweep.data.generate",
}


def run(*arguments: str, module: str = "sweep") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def study(make_study, tmp_path, monkeypatch):
    """A small study ``mine`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    make_study("mine", n_trials=3)
    return tmp_path / "mine"


# The program


def test_the_console_script_is_this_function():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["loss-sweep"].partition(":")
    assert getattr(importlib.import_module(module), name) is main


def test_without_a_command_it_lists_them(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == listed
    assert re.findall(r"^  (\w+)  ", listed, re.M) == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serch"], "error: unknown command 'serch'; did you mean 'search'?"),
        (["+experiment=smoke", "-m"], "loss-sweep search +experiment=smoke -m"),
        (["seed=3"], "loss-sweep train seed=3"),
        (["train", "-m"], "error: -m: loss-sweep train trains once; loss-sweep search searches"),
    ],
)
def test_a_wrong_command_is_status_2(capsys, arguments, line):
    assert main(arguments) == 2
    (found,) = capsys.readouterr().err.splitlines()
    assert line in found


@pytest.mark.parametrize("command", ["", *MODULES])
def test_version(command):
    words = [command, "--version"] if command else ["--version"]
    done = run(*words)
    assert (done.returncode, done.stdout) == (0, f"loss-sweep {sweep.__version__}\n")


@pytest.mark.parametrize("command", MODULES)
def test_the_module_is_the_command(command):
    ways = [run(command, "--help"), run("--help", module=MODULES[command])]
    assert [way.returncode for way in ways] == [0, 0]
    assert ways[0].stdout == ways[1].stdout
    assert f"usage: loss-sweep {command}" in ways[0].stdout


@pytest.mark.parametrize("command", MODULES)
def test_a_wrong_option_is_status_2(command):
    done = run(command, "--nonsense")
    assert done.returncode == 2
    assert f"loss-sweep {command}: error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_of_a_search_tells_commands_files_and_keys(traced):
    result, modules = traced("search", "--help")
    assert result.status == 0
    assert "torch" not in modules
    for words in (
        *(f"loss-sweep {command}" for command in COMMANDS),
        "--config-dir",
        "from_mace_scf",
    ):
        assert words in result.out
    keys = result.out.split("hydra.sweeper.KEY=VALUE")[1]
    for field in fields(StudySweeperConfig):
        if field.name not in ("defaults", "_target_", "_recursive_"):
            assert re.search(rf"^{field.name}\b|, {field.name}\b", keys, re.M), field.name


# The end of every command


@pytest.mark.parametrize(
    "arguments", [["--help"], ["search", "--help"], ["compare", "--help"], ["compare", "mine"]]
)
def test_a_closed_pipe_is_no_error(study, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *arguments],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_is_one_line_and_status_130(tmp_path):
    """While it waits to read a log from a pipe."""
    fifo = tmp_path / "fit_debug.log"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "plot", str(fifo)], stderr=subprocess.PIPE, text=True
    )
    with fifo.open("w") as log:  # opens when the command does
        log.write(LOG.format(1.0))
        log.flush()
        for _ in range(10):  # one that comes right before the read begins does not end the read
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, err = process.communicate(timeout=6)
                break
    assert (process.returncode, err) == (130, "stopped\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["search", "seed=-1"], "hydra.sweeper.params: the search space is empty"),
        (["train", "seed=-1"], "seed: must be at least 0"),
        (["compare", "nowhere"], "nowhere: no such folder"),
        (["export", "nowhere"], "nowhere: no such folder"),
        (["plot", "nowhere"], "nowhere: No such file or directory"),
        (["dashboard", "nowhere"], "nowhere: no such folder"),
        (["generate", "water_boxes", "--out", "/dev/null/x"], "/dev/null/x: Not a directory"),
    ],
)
def test_an_error_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, arguments, line):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (found,) = err.splitlines()
    assert found.startswith("error: ")
    assert line in found


# What they do


def test_search_is_m_and_train_is_not(tmp_path, monkeypatch, tiny_overrides):
    monkeypatch.chdir(tmp_path)
    small = [*tiny_overrides, "train_schedule.0.end=0", "loss=[forces,energy_per_atom]"]
    searched = ["loss.forces.weight=interval(1,200)", "hydra.sweeper.study_name=s"]
    few = ["hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1"]
    assert main(["search", *small, *searched, *few]) == 0
    study = sweep.load_study("outputs/s")
    assert study.record.sampler == "optuna.samplers.TPESampler"
    assert main(["train", *small, "hydra.run.dir=once"]) == 0
    assert sweep.load_study("once").is_search is False


def test_compare_export_and_plot(study, capsys):
    assert main(["compare", "mine", "--trial", "0,1"]) == 0
    assert (study / "report" / "index.html").exists()
    for word in ("--trial", "--trials"):
        assert main(["export", "mine", word, "1", "--out", f"best{word}.yaml"]) == 0
        assert "trial 1" in Path(f"best{word}.yaml").read_text()
    for option in ("--out", "--name"):
        assert main(["plot", "mine/trials/0001", option, f"a{option}.png"]) == 0
        assert Path(f"a{option}.png").exists()
    capsys.readouterr()
    assert main(["plot", "mine", "--trial", "1"]) == 0
    assert Path(capsys.readouterr().out.strip()).exists()


def test_a_script_can_be_run(study):
    assert main(["export", "mine", "--format", "json", "--out", "best.json"]) == 0
    assert not os.access("best.json", os.X_OK)
    assert main(["export", "mine", "--format", "mace_cli", "--out", "train.sh"]) == 0
    assert os.access("train.sh", os.X_OK)


@pytest.mark.parametrize("option", ["--min-epoch", "--min_epoch"])
def test_epochs_in_both_spellings(tmp_path, capsys, option):
    log = tmp_path / "fit_debug.log"
    log.write_text(LOG.format(1.0))
    assert main(["plot", str(log), option, "7"]) == 1
    assert "epochs from 7" in capsys.readouterr().err
