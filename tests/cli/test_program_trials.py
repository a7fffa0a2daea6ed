"""Studies whose trials another program trains: searched, pruned, stopped, killed and reported."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState
from study_process import Command, kill, run, trials, working

import sweep
from sweep.cli.app import main

PROGRAM = Path(__file__).parents[1] / "services" / "toy_program.py"
N_EPOCHS = 4
MACE_SCF = """
name: water
heads:
  LDA: {info_keys: {energy: REF_energy}, arrays_keys: {forces: REF_forces}}
train_file: train.xyz
valid_file: valid.xyz
train_schedule:
  0: {name: one, start: 0, end: 1, loss: {forces: 100.0}}
  1: {name: two, start: 2, end: 3, loss: {forces: 100.0, energy_per_atom: 10.0}}
"""


def arguments(*more: str, options: str = "") -> list[str]:
    return [
        "-m", "trainer=command",
        f"trainer.command='{sys.executable} {PROGRAM} --energy ${{loss.energy.weight}} --forces "
        f"${{loss.forces.weight}} --epochs ${{n_epochs:}} --seed ${{seed}} {options}'",
        "trainer.log=metrics.jsonl", "+trainer.metrics={energy: rmse_e, forces: rmse_f}",
        "+loss={energy: {weight: 1.0}, forces: {weight: 10.0}}",
        "objective.metrics=[energy,forces]",
        f"train_schedule.0.end={N_EPOCHS - 1}", "trainer.grace=1",
        "loss.forces.weight=tag(log, interval(0.1, 1000))", "hydra.sweeper.study_name=toy", *more,
    ]  # fmt: skip


def programs(folder: Path) -> list[int]:
    """The processes of programs that run in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end at any moment
            cwd = os.readlink(path / "cwd")
            is_dead = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            is_here = Path(cwd).is_relative_to(folder) and "/program" in cwd
            if is_here and not is_dead and b"toy_program" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def check_records(study: Path, n_trials: int) -> None:
    finished = [t for t in trials(study) if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(finished) == n_trials
    for trial in finished:
        folder = study / "trials" / f"{trial.number:04d}"
        content = json.loads((folder / "trial.json").read_text())
        assert (content["state"], content["params"]) == (trial.state.name, trial.params)
        epochs = content["epochs_trained"]
        assert (epochs == N_EPOCHS) == (trial.state == TrialState.COMPLETE)
        assert sorted(trial.intermediate_values) == list(range(epochs))
        metrics = pd.read_parquet(folder / "metrics.parquet")
        assert metrics["epoch"].tolist() == list(range(epochs))
        steps = pd.read_parquet(folder / "breakdown.parquet")
        assert steps["step"].tolist() == list(range(3 * epochs))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished study of six trials with two workers, confirmed with other seeds."""
    folder = tmp_path_factory.mktemp("toy")
    confirm = ["search.confirm.top=1", "search.confirm.seeds=2"]
    run(folder, *arguments("hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", *confirm))
    return folder / "outputs" / "toy"


def test_a_study_of_such_trials_is_like_any_other(study):
    check_records(study, 6)
    found = sweep.load_study(study)
    assert found.default.number == 0
    assert found.balanced is None  # the program tells no gradients to balance
    assert found.best.errors().keys() == {"energy", "forces"}
    assert found.trials["valid.forces"].notna().all()
    assert found.best.balance.shares.keys() == {"energy", "forces"}
    assert found[0].details["trainer"] == "command"
    again = sorted(path.name for path in (study / "confirm").iterdir() if "seed" in path.name)
    assert [name.partition("-")[2] for name in again] == 2 * ["seed1", "seed2"]
    assert "torch" not in (study / "trials/0000/trial.json").read_text().partition("versions")[0]


def test_reports_and_exports_know_them(study, tmp_path, capsys):
    assert main(["compare", str(study)]) == 0
    assert (study / "report" / "index.html").stat().st_size > 100_000
    assert main(["plot", str(study / "trials" / "0000"), "--out", str(tmp_path / "a.png")]) == 0
    capsys.readouterr()
    assert main(["export", str(study), "--format", "command"]) == 0
    script = capsys.readouterr().out
    weight = sweep.load_study(study).best.weights["forces"]
    assert f"--forces {weight!r} " in script
    assert "score" in script
    best = tmp_path / "conf" / "experiment" / "best.yaml"
    assert main(["export", str(study), "--format", "hydra", "--out", str(best)]) == 0
    words = ["--config-dir", str(tmp_path / "conf"), "+experiment=best", "hydra.run.dir=once"]
    run(tmp_path, *words)
    once = json.loads((tmp_path / "once" / "trial.json").read_text())
    assert once["state"] == "COMPLETE"
    assert once["stages"][0]["loss"]["forces"]["weight"] == weight


def test_quantities_that_only_the_program_knows_are_searched_and_reported(tmp_path, capsys):
    words = arguments("hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1",
                      "objective.metrics=[gap,energy]",
                      "objective.minimize=[gap,energy]")  # fmt: skip
    words = [w.replace("forces: rmse_f", "gap: rmse_f") for w in words]
    shown = run(tmp_path, *words)
    assert "gap" in shown
    study = sweep.load_study(tmp_path / "outputs" / "toy")
    assert study.front.minimize == ("gap", "energy")
    assert study.best.errors().keys() == {"gap", "energy"}
    assert study.trials["valid.gap"].notna().all()
    assert main(["compare", str(study.folder)]) == 0
    assert "gap" in capsys.readouterr().out
    assert main(["compare", str(study.folder), "--metrics", "gap"]) == 0


def test_trials_are_pruned_and_their_programs_ended(tmp_path):
    prune = [
        "hydra/sweeper/pruner=percentile", "hydra.sweeper.pruner.percentile=1.0",
        "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0",
        "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=1",
    ]  # fmt: skip
    run(tmp_path, *arguments(*prune, options="--how child --seconds 0.5"))
    study = tmp_path / "outputs" / "toy"
    check_records(study, 5)
    assert {t.state for t in trials(study)} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert not programs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("n_jobs", "times"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_ctrl_c_ends_the_programs_and_the_study_goes_on(n_jobs, times, tmp_path):
    words = arguments("hydra.sweeper.n_trials=3", f"hydra.sweeper.n_jobs={n_jobs}",
                      options="--seconds 1")  # fmt: skip
    with Command(tmp_path, *words) as command:
        command.wait_for(lambda: programs(tmp_path))
        for _ in range(times):
            command.interrupt()
            time.sleep(0.3)
        assert command.wait(60) != 0
        command.wait_for_others()
    assert not programs(tmp_path)
    run(tmp_path, *words)
    check_records(tmp_path / "outputs" / "toy", 3)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["sweep", "worker"])
def test_a_kill_leaves_no_program_behind(victim, tmp_path):
    study = tmp_path / "outputs" / "toy"
    n_jobs = 1 if victim == "sweep" else 2
    words = arguments("hydra.sweeper.n_trials=3", f"hydra.sweeper.n_jobs={n_jobs}",
                      options="--seconds 1 --how child")  # fmt: skip
    with Command(tmp_path, *words) as command:
        command.wait_for(lambda: len(programs(tmp_path)) >= n_jobs)
        before = programs(tmp_path)
        killed = command.process.pid if victim == "sweep" else working(study)[0]
        assert kill(killed)
        deadline = time.monotonic() + 10
        while sum(Path(f"/proc/{pid}").exists() for pid in before) > n_jobs - 1:
            assert time.monotonic() < deadline, f"{before} live on"
            time.sleep(0.1)
        if victim == "worker":
            assert command.wait() == 0, command.output
        command.wait_for_others()
    run(tmp_path, *words)
    check_records(study, 3)
    assert not programs(tmp_path)


@pytest.mark.slow
def test_a_program_that_was_killed_is_a_failed_trial_and_the_study_goes_on(tmp_path):
    study = tmp_path / "outputs" / "toy"
    words = arguments("hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1",
                      options="--seconds 1")  # fmt: skip
    with Command(tmp_path, *words) as command:
        command.wait_for(lambda: programs(tmp_path))
        os.kill(programs(tmp_path)[0], signal.SIGKILL)
        assert command.wait() == 0, command.output
    check_records(study, 3)
    (failed,) = [t for t in trials(study) if t.state == TrialState.FAIL]
    assert "SIGKILL" in failed.user_attrs["reason"]


@pytest.mark.slow
def test_random_kills_lose_no_trial_and_leave_no_program(tmp_path, request):
    """Of the sweep, of workers and of programs: ``--kills 250`` makes 50 instead of 10."""
    study = tmp_path / "outputs" / "toy"
    chance = random.Random(request.config.getoption("kills_seed"))
    n_kills = max(1, request.config.getoption("kills") // 5)
    kills: Counter[str] = Counter()
    n_trials, status, commands = 6 + n_kills, None, []  # as many may fail
    try:
        while status != 0 or kills.total() < n_kills:
            n_trials += 3 if status == 0 else 0
            command = Command(tmp_path, *arguments(
                f"hydra.sweeper.n_trials={n_trials}", "hydra.sweeper.n_jobs=2",
                "hydra.sweeper.max_failure_rate=1", options="--seconds 0.5",
            ))  # fmt: skip
            commands.append(command)
            while command.process.poll() is None and kills.total() < n_kills:
                time.sleep(chance.uniform(0, 2))
                victims = {"program": programs(tmp_path)}
                if not victims["program"]:  # mostly it starts
                    continue
                victims["worker"] = [p for p in working(study) if Path(f"/proc/{p}").exists()]
                victims["sweep"] = [command.process.pid]
                kind = chance.choice([kind for kind, pids in victims.items() if pids])
                kills[kind] += kill(chance.choice(victims[kind]))
            status = command.wait(300)
            # Workers that die again and again without an epoch are not replaced for ever.
            again = status == 1 and "run again to go on" in command.output
            assert again or status in (0, -signal.SIGKILL), command.output
        for command in commands:
            command.wait_for_others()
        assert not programs(tmp_path)
    finally:
        for command in commands:
            command.kill_all()
    check_records(study, n_trials)
    failed = [t for t in trials(study) if t.state == TrialState.FAIL]
    assert len(failed) <= kills["program"]
    assert all("SIGKILL" in t.user_attrs["reason"] for t in failed)
    print(f"\n{dict(kills)} killed; {n_trials} trials finished, {len(failed)} failed")


def test_a_program_that_always_fails_ends_the_study_with_its_reason(tmp_path):
    words = arguments("hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=1",
                      options="--how crash --at 0")  # fmt: skip
    with Command(tmp_path, *words) as command:
        assert command.wait() == 1
    assert "RuntimeError: something is wrong" in command.output
    assert "Traceback" not in command.output


def test_mace_scf_is_searched(tmp_path, tiny_data):
    stand_in = PROGRAM.with_name("mace_scf_stand_in.py")
    for split in ("train", "valid"):
        shutil.copy(tiny_data / f"{split}.xyz", tmp_path)
    (tmp_path / "config.yaml").write_text(MACE_SCF)
    run(
        tmp_path, "-m", "trainer=mace_scf", "from_mace_scf=config.yaml",
        f"trainer.python={sys.executable}", f"trainer.script={stand_in}",
        "train_schedule.1.loss.energy_per_atom.weight=tag(log, interval(1, 1000))",
        "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2",
    )  # fmt: skip
    study = tmp_path / "outputs" / "water"
    check_records(study, 4)
    best = sweep.load_study(study).best
    written = yaml.safe_load((best.folder / "program" / "config.yaml").read_text())
    weight = written["train_schedule"][1]["loss"]["energy_per_atom"]
    assert weight == best.weights["energy_per_atom"]
    assert best.errors().keys() >= {"energy", "forces"}
    assert not programs(tmp_path)
