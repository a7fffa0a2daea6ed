"""The table by ``config_type``: numbers, changes, and where there is none."""

import pytest

from sweep.records import Study
from sweep.report.advice.errors import uneven_errors
from sweep.report.comparison.by_type import errors_by_type
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.page.tables import type_table
from sweep.report.terminal.answer import print_study, print_trial


def types(factor):
    return {
        "test": {
            "water_1": {"n": 4, "rmse_energy": 0.001 * factor, "rmse_forces": 0.04},
            "ion_2": {"n": 2, "rmse_energy": 0.003 * factor, "rmse_forces": None},
        }
    }


@pytest.fixture
def study(make_trial, tmp_path):
    make_trial(0, role="default", config_types=types(1.0))
    make_trial(1, factor=0.5, config_types=types(0.5))
    return Study.read(tmp_path)


def test_errors_in_their_unit_and_their_changes(study):
    found = errors_by_type(study.best, study.default)
    assert [metric.key for metric in found.metrics] == ["energy", "forces"]
    assert [(row.name, row.n) for row in found.rows] == [
        ("water_1", 4),
        ("ion_2", 2),
        ("all", None),
    ]
    first, second, whole = found.rows
    assert (first.measures[0].value, first.measures[0].change) == (0.5, -0.5)
    assert first.measures[1].change == 0
    assert second.measures[1] is None
    assert whole.measures[0].value == pytest.approx(1000 * study.best.errors("test")["energy"])


def test_sets_of_unknown_size_without_errors_of_all(make_trial, tmp_path, capsys):
    sets = {"test": {"water": {"rmse_energy": 0.001}, "ions": {"rmse_energy": 0.003}}}
    make_trial(0, config_types=sets, metrics={"valid": {"score": 0.1, "rmse_energy": 0.002}})
    trial = Study.read(tmp_path).best
    found = errors_by_type(trial, None)
    assert [(row.name, row.n) for row in found.rows] == [("water", None), ("ions", None)]
    print_trial(trial.folder)
    assert "ions" in capsys.readouterr().out


def test_without_types_there_is_no_table(make_trial, tmp_path, capsys):
    make_trial(0, role="default")
    study = Study.read(tmp_path)
    assert errors_by_type(study.best, study.default) is None
    print_study(study)
    assert "config_type" not in capsys.readouterr().out


def test_it_is_printed_and_stands_on_the_page(study, capsys):
    print_study(study)
    printed = " ".join(capsys.readouterr().out.split())  # titles are wrapped
    assert "RMSE of trial 1 by config_type, test set (against the default)" in printed
    assert "0.500 (−50 %)" in printed
    print_trial(study.best.folder)
    printed = " ".join(capsys.readouterr().out.split())
    assert "RMSE of trial 1 by config_type, test set" in printed
    table = type_table(compare(read_sources([study.folder])[0]))
    assert table.caption == "RMSE of trial 1 by config_type, test set"
    assert [cell.text for cell in table.rows[0]] == ["water_1", "4", "0.500", "40.0"]


def test_elements_and_sizes(make_trial, tmp_path):
    """On the page, in the table of trials, and in a sentence where one of them holds an error."""
    held = {"O": (0.06, 20.0, 0.9), "H": (0.02, 40.0, 0.1)}
    elements = {
        "test": {
            name: {"n": n, "rmse_forces": rmse, "mae_forces": rmse, "share_forces": share}
            for name, (rmse, n, share) in held.items()
        }
    }
    make_trial(0, role="default", elements=elements)
    make_trial(1, factor=0.5, elements=elements)
    c = compare(read_sources([tmp_path])[0])
    assert type_table(c) is None
    table = type_table(c, "element")
    assert "by element, test set" in table.caption
    assert [column.title for column in table.columns][:2] == ["element", "atoms"]
    assert c.source.study.trials.loc[1, "element.O.forces"] == 0.06
    assert not any(str(column).startswith("element.") for column in c.trials)  # of the tables
    (advice,) = uneven_errors(c)
    assert "O (33 % of the atoms) 90 % of that of the forces" in advice.text
