"""The printed answer holds the numbers."""

import re

import pytest

from sweep.console import make_console
from sweep.quantities import QUANTITIES
from sweep.records import Study
from sweep.records.weights_file import loss_block
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.summary import write_summary
from sweep.report.terminal.answer import print_study, print_trial
from sweep.report.terminal.comparison import show_comparisons


def cells(text, row):
    """The cells of the rows whose first cell is ``row``."""
    lines = [re.split(r"[│┃]", line) for line in text.splitlines()]
    return [
        [c.strip() for c in line[1:-1]]
        for line in lines
        if len(line) > 2 and line[1].strip() == row
    ]


def test_errors_in_natural_units_and_their_change(study_folder, capsys):
    print_study(Study.read(study_folder, "mine"))
    out = capsys.readouterr().out
    assert "study mine: 6 trials (3 complete, 1 failed, 1 pruned, 1 running)" in out
    assert cells(out, "energy") == [
        ["energy", "meV/atom", "validation", "1.50", "1.20 (−20 %)", "0.750 (−50 %)"]
    ]
    assert cells(out, "forces")[0] == [
        "forces", "meV/Å", "validation", "50.0", "40.0 (−20 %)", "25.0 (−50 %)",
    ]  # fmt: skip
    tests = [row for row in cells(out, "") if row[2:3] == ["test"]]
    assert tests[2] == ["", "", "test", "62.5", "50.0 (−20 %)", "31.2 (−50 %)"]
    assert cells(out, "score") == [
        ["score", "", "validation", "0.200", "0.160 (−20 %)", "0.100 (−50 %)"]
    ]
    assert tests[0] == ["", "", "test", "0.250", "0.200 (−20 %)", "0.125 (−50 %)"]


def test_the_balance_and_the_weights(study_folder, capsys):
    print_study(Study.read(study_folder, "mine"))
    out = capsys.readouterr().out
    assert cells(out, "forces")[1] == ["forces"] + ["100    55 %"] * 3
    assert cells(out, "esps") == [["esps"] + ["2    18 %"] * 3]
    assert cells(out, "dominant") == [["dominant"] + ["forces"] * 3]
    assert cells(out, "starved (below 1 %)")[0][1:] == ["none"] * 3
    assert cells(out, "effective terms")[0][1:] == ["2.7 of 3"] * 3
    best = Study.read(study_folder, "mine").references["best"]
    block = "".join(f"    {line}\n" for line in loss_block(best.stages).splitlines())
    assert f"best weights, trial 2:\n\n{block}" in out


def test_where_everything_lies(study_folder, capsys):
    study = Study.read(study_folder, "mine")
    print_study(study)
    before = capsys.readouterr().out
    assert f"everything lies in {study_folder}" in before.replace("\n", "")
    assert "best_loss.yaml" not in before
    write_summary(study)
    print_study(study)
    after = capsys.readouterr().out
    assert f"all trials on one page: loss-sweep compare {study_folder}" in after.replace("\n", "")
    for name in ("best_loss.yaml", "summary.json", "trials/"):
        assert re.search(rf"^  {re.escape(name)}", after, re.MULTILINE)


def test_a_study_without_a_complete_trial(make_trial, tmp_path, capsys):
    make_trial(0, role="default", state="STOPPED")
    (make_trial(1) / "trial.json").write_text("{")
    print_study(Study.read(tmp_path, "mine"))
    out = capsys.readouterr().out
    assert "1 trial (1 stopped)" in out
    assert "left out: " in out
    assert "best weights" not in out


def test_one_training(make_trial, capsys):
    folder = make_trial(0)
    print_trial(folder)
    out = capsys.readouterr().out
    assert cells(out, "forces")[0] == ["forces", "meV/Å", "validation", "50.0"]
    assert cells(out, "forces")[1] == ["forces", "100    55 %"]
    assert str(folder) in out.replace("\n", "")


def test_a_training_that_recorded_nothing(tmp_path, capsys):
    print_trial(tmp_path)
    assert "nothing was recorded" in capsys.readouterr().out


def test_a_term_that_only_one_loss_has(make_trial, tmp_path, capsys):
    make_trial(0, role="default")
    make_trial(1, factor=0.5, loss={"forces": {"weight": 3.0}})
    print_study(Study.read(tmp_path, "mine"))
    out = capsys.readouterr().out
    assert cells(out, "esps") == [["esps", "2    18 %", "-"]]
    assert cells(out, "forces")[1] == ["forces", "100    55 %", "3   100 %"]
    assert cells(out, "effective terms")[0][1:] == ["2.7 of 3", "1.0 of 1"]


def test_a_trial_of_two_roles_stands_once(make_trial, tmp_path, capsys):
    make_trial(0, role="default")
    make_trial(1, role="balanced", factor=0.5)
    print_study(Study.read(tmp_path, "mine"))
    out = capsys.readouterr().out
    assert "balanced, best" in out
    assert cells(out, "score") == [["score", "", "validation", "0.200", "0.100 (−50 %)"]]
    assert cells(out, "dominant") == [["dominant", "forces", "forces"]]


@pytest.mark.parametrize("width", [80, 120])
def test_no_word_is_cut_in_a_narrow_terminal(make_two_stage_trial, width, capsys, monkeypatch):
    """Four trials with many quantities: a table that is too wide goes on below."""
    monkeypatch.setattr("sweep.console._PIPE_WIDTH", width)
    names = ("energy", "forces", "atomic_multipoles", "total_charge", "fermi_level", "dipole",
             "polarizability", "esps")  # fmt: skip
    for number, role in enumerate(("default", "balanced", "static", None)):
        weights = {"forces": 0.008873, "esps": 100.0, "dipole": 1e-6}
        errors = {name: 0.1234 * 0.9**number for name in names}
        folder = make_two_stage_trial(number, weights, errors, role=role).parents[1]
    comparison = compare(read_sources([folder])[0])
    print_study(Study.read(folder, "mine"))
    make_console().print(show_comparisons([comparison], n_rows=5))
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(len(line) for line in out.splitlines() if line[:1] in "│┃┏└") <= width
    for number, role in enumerate(("default", "balanced", "static", "best")):
        assert role in out
        assert f"trial {number}" in out
    for name in names:
        assert QUANTITIES[name].title in out
        assert QUANTITIES[name].display_unit in out
    for change in ("−10 %", "−19 %", "−27 %", "−10%", "−19%", "−27%"):
        assert out.count(change) >= len(names)
