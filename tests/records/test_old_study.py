"""A study of version 0.1, which wrote no ``study.json``: everything of it can still be read."""

import shutil
from pathlib import Path

import pytest

import sweep
from sweep.export.__main__ import main as export
from sweep.records import State
from sweep.report.compare import Options, run
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.importance import search_space
from sweep.report.comparison.sources import read_sources
from sweep.report.confirmation import read_confirmation
from sweep.report.confirmation_text import confirmation_sentences

OLD = Path(__file__).parent / "data" / "study_0_1"


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "old")


def test_its_trials(old):
    study = sweep.load_study(old)
    assert not study.unreadable
    assert [trial.state for trial in study] == 4 * [State.COMPLETE]
    assert {role: t.number for role, t in study.references.items()} == {
        "default": 0, "balanced": 1, "best": 2,
    }  # fmt: skip
    assert study.best.score == pytest.approx(0.3659403759771942)
    assert study.best.weights["dipole_per_atom"] == pytest.approx(82233.4875484875)
    assert study.trials["share.forces"].round(3).tolist() == [0.720, 0.232, 0.432, 0.198]
    assert len(study[3].steps()) == study[3].steps()["step"].nunique() > 0


def test_its_search_space_is_asked_of_optuna(old):
    study = sweep.load_study(old)
    space = search_space(study, list(study.best.params))
    assert space["loss.esps.weight"].log
    assert space["loss.esps.weight"].low < space["loss.esps.weight"].high


def test_its_confirmation(old):
    found = read_confirmation(sweep.load_study(old))
    assert [candidate.number for candidate in found.others] == [2]
    assert confirmation_sentences(found)


def test_its_page_and_its_weights(old, tmp_path, capsys):
    (source,) = read_sources([old])
    comparison = compare(source)
    assert comparison.best.number == 2
    run(Options([old], out=tmp_path / "page"))
    assert "82233.5" in capsys.readouterr().out
    assert list((tmp_path / "page").glob("*.html"))
    assert export([str(old), "--format", "hydra"]) == 0
    assert "82233.4875484875" in capsys.readouterr().out
