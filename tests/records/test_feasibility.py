"""Constraints: errors not larger than a multiple of those of the default weights."""

import json

import pytest

from sweep.records import Objective, Study
from sweep.records.feasibility import violations
from sweep.report.constraints import blocked_sentence, constraint_sentence
from sweep.report.summary import write_summary
from sweep.report.terminal.answer import print_study

OBJECTIVE = {"metrics": ["energy", "forces"], "statistic": "rmse"}


def errors(score, energy, forces):
    return {"score": score, "rmse_energy": energy, "rmse_forces": forces, "loss": 1.0}


@pytest.fixture
def study(make_trial, tmp_path):
    """The better the score, the worse the forces."""

    def make(factor, minimize=("score",)):
        objective = {**OBJECTIVE, "constraints": {"forces": factor, "energy": None},
                     "minimize": list(minimize)}  # fmt: skip
        rows = [(0.5, 0.010, 0.10), (0.4, 0.009, 0.09), (0.3, 0.007, 0.11), (0.2, 0.005, 0.20)]
        for number, row in enumerate(rows):
            make_trial(
                number, role="default" if number == 0 else None, score=row[0],
                objective=objective, metrics={"valid": errors(*row), "test": errors(*row)},
            )  # fmt: skip
        return Study.read(tmp_path, "mine")

    return make


def test_a_violation_is_a_multiple_of_the_default_above_the_limit():
    found = violations(
        {"forces": 0.3, "energy": 0.1, "total_charge": 1e-9, "dipole": None},
        {"forces": 0.2, "energy": 0.1, "total_charge": 0.0, "dipole": 1.0},
        {"forces": 1.2, "energy": 1.0, "total_charge": 1.0, "dipole": 1.0, "esps": 1.0},
    )
    assert found == pytest.approx(
        {"forces": 0.3, "energy": 0.0, "total_charge": 1e-9, "dipole": 0.0, "esps": 0.0}
    )


@pytest.mark.parametrize(
    ("factor", "kept", "best"), [(2.5, [0, 1, 2, 3], 3), (1.5, [0, 1, 2], 2), (1.0, [0, 1], 1)]
)
def test_the_best_keeps_all_constraints(study, factor, kept, best):
    found = study(factor)
    assert [trial.number for trial in found.feasible] == kept
    assert found.best.number == best
    assert found.references["best"].number == best
    assert constraint_sentence(found) == (
        f"constraints (forces ≤ {factor:g} × default) are kept by {len(kept)} of 4 complete trials"
    )
    write_summary(found)
    summary = json.loads((found.folder / "summary.json").read_text())
    assert [entry["feasible"] for entry in summary["trials"]] == [n in kept for n in range(4)]
    assert f"trial {best}" in (found.folder / "best_loss.yaml").read_text().splitlines()[0]


def test_no_trial_keeps_a_constraint(study, capsys):
    found = study(0.5)
    assert set(found.references) == {"default"}
    assert "kept by 0 of 4" in constraint_sentence(found)
    assert "trial 1 (forces 0.900 ×, score −20 %)" in blocked_sentence(found)
    (found.folder / "best_loss.yaml").write_text("of an earlier state")
    write_summary(found)
    assert not (found.folder / "best_loss.yaml").exists()
    print_study(found)
    out = capsys.readouterr().out
    assert "No complete trial keeps forces ≤ 0.5 × default" in out
    assert "best weights" not in out


def test_without_a_default_nothing_can_be_checked(study, make_trial, tmp_path):
    study(1.0)
    make_trial(0, role="default", state="FAILED", score=None, metrics={}, reason="not finite")
    found = Study.read(tmp_path, "mine")
    assert found.references["best"].number == 3
    assert "are not checked: trial 0" in constraint_sentence(found)


def test_trials_of_before_there_were_constraints(study_folder):
    found = Study.read(study_folder, "mine")
    assert found.best.number == 2
    assert constraint_sentence(found) is None


def test_what_is_no_constraint_is_none():
    given = {"metrics": ["forces"], "statistic": "rmse"}
    assert Objective.read(given).constraints == {}
    assert Objective.read({**given, "constraints": ["forces"]}).constraints == {}
    constraints = {"forces": "1", "x": 1, "esps": 2}
    assert Objective.read({**given, "constraints": constraints}).constraints == {"esps": 2.0}


def test_the_front_is_printed_with_its_knee(study, make_trial, tmp_path, capsys):
    study(2.5, minimize=("energy", "forces"))
    found = Study.read(tmp_path, "mine")
    print_study(found)
    lines = capsys.readouterr().out.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if "Pareto front of energy and" in line) :]
    rows = [line.strip("│ ").split("│") for line in table if line.startswith("│")]
    rows = [[cell.strip() for cell in row] for row in rows]
    assert [row[0] for row in rows][:3] == ["3", "2", "1"]
    assert rows[1][1:] == ["knee", "7.00 (−30 %)", "110 (+10 %)"]
    assert rows[0][1] == ""  # the best score is no answer
    write_summary(found)
    front = json.loads((tmp_path / "summary.json").read_text())["front"]
    assert (front["minimize"], front["knee"]) == (["energy", "forces"], 2)
    head = (tmp_path / "best_loss.yaml").read_text().splitlines()[0]
    assert head.startswith("# Weights at the knee of the front of study mine: trial 2")
    assert front["trials"][0] == {"trial": 3, "values": [0.005, 0.2]}


def test_one_objective_prints_no_front(study_folder, capsys):
    print_study(Study.read(study_folder, "mine"))
    assert "front" not in capsys.readouterr().out
