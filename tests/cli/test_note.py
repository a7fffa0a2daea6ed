"""Notes and tags: written by a command, shown wherever trials are."""

import json

import pytest

from sweep.cli.compare import main as compare
from sweep.cli.note import main
from sweep.records import load_study
from sweep.records.writer import TrialWriter


def test_a_note_and_its_tags(study_folder, capsys):
    study = str(study_folder)
    assert (
        main([study, "--text", "too  stiff\nbeyond 3 Å", "--trial", "2", "--tag", "paper,good"])
        == 0
    )
    assert capsys.readouterr().out == "trial 2: [good, paper] too stiff beyond 3 Å\n"
    assert main([study, "--trial", "0", "--tag", "checked"]) == 0
    assert main([study, "--trial", "2", "--untag", "good"]) == 0
    capsys.readouterr()
    assert main([study]) == 0
    shown = "trial 0: [checked]\ntrial 2: [paper] too stiff beyond 3 Å\n"
    assert capsys.readouterr().out == shown
    found = load_study(study_folder)
    assert found[2].note.tags == ("paper",)
    assert found.trials.loc[2, ["note", "tags"]].tolist() == ["too stiff beyond 3 Å", "paper"]
    assert main([study, "--text", "", "--trial", "2", "--untag", "paper"]) == 0
    assert capsys.readouterr().out == "trial 2: no note\n"
    assert not (study_folder / "trials" / "0002" / "note.json").exists()
    assert "note" not in load_study(study_folder / "trials" / "0002").trials


def test_compare_and_the_page_show_them(study_folder, capsys):
    assert (
        main([str(study_folder), "--text", "<b>stiff</b>", "--trial", "2", "--tag", "paper"]) == 0
    )
    capsys.readouterr()
    assert compare([str(study_folder)]) == 0
    assert "2: [paper] <b>stiff</b>" in capsys.readouterr().out
    page = (study_folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;stiff&lt;/b&gt;" in page
    assert "<b>stiff</b>" not in page
    assert "paper" in (study_folder / "report" / "data" / "trials.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", "x"], "--trial: say which trial the note is of"),
        (["--trial", "9", "--text", "x"], "has no trial 9; it holds trials 0 to 5"),
        (["--trial", "2", "--untag", "paper"], "--untag: there is no tag 'paper'; there is no tag"),
    ],
)
def test_wrong_words(study_folder, capsys, words, message):
    assert main([str(study_folder), *words]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", '{"text": 3}', '{"tags": [1]}'])
def test_a_damaged_note_is_said_and_hides_no_trial(study_folder, capsys, content):
    path = study_folder / "trials" / "0002" / "note.json"
    path.write_text(content)
    assert "note.json" in load_study(study_folder)[2].note.text
    assert main([str(study_folder), "--trial", "2", "--text", "new"]) == 1
    assert "note.json" in capsys.readouterr().err
    assert path.read_text() == content


def test_a_copy_of_a_trial_has_no_note(study_folder):
    source = study_folder / "trials" / "0002"
    assert main([str(study_folder), "--trial", "2", "--text", "mine"]) == 0
    writer = TrialWriter(source.with_name("0007"), {"number": 7})
    assert writer.copy(2) is not None
    assert not (writer.folder / "note.json").exists()
    assert json.loads((source / "note.json").read_text())["text"] == "mine"
