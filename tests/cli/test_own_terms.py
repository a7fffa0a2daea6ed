"""A loss term in the user's own folder: a module and a YAML file, nothing in the package."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

TERM = '''
"""Robust energies."""

from losses.base import ALL_FAMILIES, register


@register(
    "energy_cosh",
    labels=("energy",),
    outputs=("energy",),
    mask="energy_weight",
    families=ALL_FAMILIES,
    unit="1",
    positive=("width",),
    choices={"form": ("log", "plain")},
)
def energy_cosh(q, *, width: float = 1.0, form: str = "log", per_atom: bool = True):
    """Logarithm of the hyperbolic cosine of the energy error."""
    predicted = q.graph_output("energy")
    error = (predicted - q.graph_label("energy", predicted)) / width
    error = error / q.atoms(predicted) if per_atom else error
    return error.cosh().log().mean() if form == "log" else (error.cosh() - 1).mean()
'''
YAML = """
energy_cosh:
  weight: 2.0
  width: 0.5
  form: log
  per_atom: true
"""
CHOSEN = ["--config-dir", "own", "loss=[forces,energy_cosh]", "loss_modules=[my_terms]"]


@pytest.fixture
def own(tmp_path):
    (tmp_path / "my_terms.py").write_text(TERM)
    (tmp_path / "own" / "loss").mkdir(parents=True)
    (tmp_path / "own" / "loss" / "energy_cosh.yaml").write_text(YAML)
    return tmp_path


def sweep(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_it_is_searched_with_all_its_options(own, tiny_overrides):
    """By workers in other processes, and again when the study goes on."""
    arguments = [
        *CHOSEN, *tiny_overrides, "-m", "train_schedule.0.end=0",
        "loss.energy_cosh.form=plain", "loss.energy_cosh.per_atom=false",
        "loss.energy_cosh.weight=tag(log,interval(1,10))", "objective.metrics=[energy,forces]",
        "hydra.sweeper.study_name=own", "hydra.sweeper.n_jobs=2",
    ]  # fmt: skip
    for n_trials in (1, 3):
        done = sweep(own, *arguments, f"hydra.sweeper.n_trials={n_trials}")
        assert done.returncode == 0, done.stderr + done.stdout
    trials = [
        json.loads(path.read_text())
        for path in sorted((own / "outputs" / "own" / "trials").glob("*/trial.json"))
    ]
    assert [trial["state"] for trial in trials] == 3 * ["COMPLETE"]
    term = trials[0]["stages"][0]["loss"]["energy_cosh"]
    assert term == {"weight": 2.0, "width": 0.5, "form": "plain", "per_atom": False}
    steps = pd.read_parquet(own / "outputs" / "own" / "trials" / "0000" / "breakdown.parquet")
    assert (steps["raw.energy_cosh"] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss.energy_cosh.form=lg"], "loss.energy_cosh.form: option 'form' of term 'energy_cosh' "
         "must not be 'lg'; did you mean 'log'?"),
        (["loss.energy_cosh.width=-1"], "of term 'energy_cosh' must be larger than 0"),
        (["loss.energy_cosh.per_atom=3"], "must be true or false, got 3"),
        (["loss_modules=[my_trems]"], "loss_modules: 'my_trems': no such module in"),
        (["loss_modules=[my_terms,broken]"], "loss_modules: 'broken': cannot be imported: "
         "ZeroDivisionError: division by zero (broken.py, line 1)"),
        (["loss_modules=[my_terms,ends]"], "'ends': cannot be imported: SystemExit: 3 (ends.py, "),
        (["loss_modules=[my_terms,half]"], "SyntaxError: '(' was never closed (half.py, line 1)"),
        (["loss_modules=[my_terms,taken]"], "loss_modules: 'taken': term 'forces' is registered "
         "already"),
        (["loss_modules=[]"], "loss.energy_cosh: unknown loss term 'energy_cosh'"),
    ],
)  # fmt: skip
def test_errors_are_one_line_before_anything_is_read(own, arguments, message):
    (own / "broken.py").write_text("1 / 0\n")
    (own / "ends.py").write_text("raise SystemExit(3)\n")
    (own / "half.py").write_text("def f(\n")
    (own / "taken.py").write_text(TERM.replace('"energy_cosh",', '"forces",'))
    done = sweep(own, *CHOSEN, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not (own / "outputs").exists()


def test_a_label_that_no_data_have_is_named_before_training(own, tiny_overrides):
    (own / "my_terms.py").write_text(TERM.replace('labels=("energy",)', 'labels=("enrgy",)'))
    done = sweep(own, *CHOSEN, *tiny_overrides, "objective.metrics=[forces]")
    assert done.returncode == 1
    assert (
        "loss term 'energy_cosh': unknown key of a batch 'enrgy'; did you mean 'energy'?"
        in (done.stderr.splitlines()[-1])
    )
