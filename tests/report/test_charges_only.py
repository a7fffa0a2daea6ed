"""Multipoles that are charges only are in e wherever their unit is shown."""

import numpy as np
import pytest
from page_reader import Tables, render
from rich.console import Console

from sweep.config.checks import check_config
from sweep.console import make_console
from sweep.data.dataset import load
from sweep.records import Study, Trial
from sweep.records.epoch_tables import EpochTables
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.data_files import csv_files
from sweep.report.comparison.sources import read_sources
from sweep.report.dashboard.note import trial_note
from sweep.report.figures.data import study_series
from sweep.report.figures.explorer import explorer
from sweep.report.terminal.answer import print_study
from sweep.report.terminal.comparison import show_comparisons
from sweep.training.own import OwnTrainer
from sweep.training.preflight import preflight
from sweep.training.setup import Setup

EVEN = {"forces": 1.0, "esps": 1.0, "dipole": 1.0}


@pytest.fixture
def folder(make_two_stage_trial, request):
    """A study of models that record this largest l."""
    recorded = {} if request.param is None else {"multipoles_max_l": request.param}
    for number in range(3):
        errors = {"forces": 0.05 - 0.01 * number, "atomic_multipoles": 0.02 + 0.01 * number}
        more = {
            "role": "default" if number == 0 else None,
            "config_types": {"test": {name: {"n": 2, "rmse_atomic_multipoles": 0.02}
                                      for name in ("a", "b")}},
            "objective": {"metrics": [], "minimize": list(errors), "statistic": "rmse"},
            "scales": {"atomic_multipoles": 0.001}, **recorded,
        }  # fmt: skip
        trial = make_two_stage_trial(number, EVEN, errors, **more)
    return trial.parents[1]


@pytest.mark.parametrize(
    ("folder", "unit", "stored"),
    [(0, "me", "e"), (1, "me·Å^l", "e·Å^l"), (None, "me·Å^l", "e·Å^l")],
    indirect=["folder"],
)
def test_the_unit_of_charges(folder, unit, stored, capsys):
    study = Study.read(folder, "mine")
    assert study.trials.attrs["units"]["valid.atomic_multipoles"] == stored
    comparison = compare(read_sources([folder])[0])
    print_study(study)
    console = make_console()
    console.print(show_comparisons([comparison, comparison], n_rows=5))
    printed = capsys.readouterr().out
    tables = Tables(render([comparison, comparison])).tables
    texts = [
        printed,
        str(tables),
        *(text for name, text in csv_files([comparison]).items() if "trials" in name),
        trial_note(Trial.read(folder / "trials" / "0001"), None),
        str(explorer(comparison)["columns"]["valid.atomic_multipoles"]["title"]),
        study_series([comparison, comparison])[1].with_unit,
    ]
    for text in texts:
        assert ("me·Å^l" in text) == (unit != "me")
    for text in texts[:2]:
        assert unit in text
    for text in texts[2:]:
        assert f"({unit})" in text


@pytest.mark.parametrize(("max_l", "unit"), [(0, "me"), (1, "me·Å^l"), (None, "me·Å^l")])
def test_the_unit_in_the_debug_log(tmp_path, max_l, unit):
    record = EpochTables(tmp_path, "fit", multipoles_max_l=max_l)
    record.add_steps(
        first_step=0, epoch=0, stage=0, lr=0.1, times=[0.0], raw=np.ones((1, 1)),
        weights={"forces": 1.0}, total=np.ones(1), grad_norm=np.ones(1),
    )  # fmt: skip
    metrics = {"loss": 1.0, "score": 1.0, "rmse_atomic_multipoles": 0.0123}
    record.add_metrics(step=1, epoch=0, stage=0, split="valid", metrics=metrics)
    record.write()
    last = (tmp_path / "logs" / "fit_debug.log").read_text().splitlines()[-1]
    assert last.endswith(f"RMSE_atomic_multipoles=   12.30 {unit}")


def test_a_training_of_charges_only_tells(compose):
    cfg = compose("model.atomic_multipoles_max_l=0", "loss=[forces,atomic_multipoles]")
    setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    trainer = OwnTrainer(setup.dataset)
    assert trainer.facts(cfg)["multipoles_max_l"] == 0
    console = Console(width=150, record=True)
    console.print(preflight(setup, check_config(cfg)))
    assert "e·Å^l" not in console.export_text()
