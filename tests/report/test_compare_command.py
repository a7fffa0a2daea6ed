"""``python -m sweep.compare`` as a user runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from sweep.compare import main

SECONDS = 60


@pytest.fixture
def study(make_study, tmp_path, monkeypatch):
    """A small study ``mine`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    make_study("mine", n_trials=3)
    return tmp_path / "mine"


def test_it_prints_and_writes(study, capsys):
    assert main(["mine"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "study mine: 6 trials" in out
    assert "the page with all figures: mine/report/index.html" in out
    written = {str(path.relative_to(study / "report")) for path in study.glob("report/**/*.*")}
    assert {"index.html", "data/trials.csv", "data/shares.csv"} <= written
    assert not list((study / "report").rglob("*.tmp"))
    assert len(pd.read_csv(study / "report" / "data" / "trials.csv")) == 6
    assert "loss-sweep export mine --format mace_scf" in (
        study / "report" / "index.html"
    ).read_text(encoding="utf-8")


def test_two_at_once_write_one_page(study):
    command = [sys.executable, "-m", "sweep.compare", "mine", "--figures", "svg"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, out
    assert not list((study / "report").rglob("*.tmp"))
    assert "</html>" in (study / "report" / "index.html").read_text(encoding="utf-8")


def test_the_report_is_no_trial_of_the_next_report(study, capsys):
    for _ in range(2):
        assert main(["mine"]) == 0
        assert "6 trials" in capsys.readouterr().out


def test_several_studies_and_single_trials(study, make_study, capsys):
    make_study("other", n_trials=2)
    assert main(["mine", "other", "mine/trials/0002", "--out", "there"]) == 0
    assert {path.name for path in (study.parent / "there" / "data").iterdir()} >= {
        "1_trials.csv", "2_trials.csv", "3_trials.csv",
    }  # fmt: skip
    assert main(["mine/trials/0001", "mine/trials/0002"]) == 0
    assert (study.parent / "comparison" / "index.html").exists()
    assert main(["mine/trials/0001"]) == 0
    assert (study / "trials" / "0001" / "report" / "index.html").exists()


def test_figures_and_a_what_if(study, capsys):
    assert main(["mine", "--figures", "svg,png", "--weights", "esps=3", "--trials", "2"]) == 0
    assert "what if esps = 3" in capsys.readouterr().out
    figures = {path.name for path in (study / "report" / "figures").iterdir()}
    assert {"what_if.svg", "what_if.png", "shares.svg"} <= figures
    assert set(pd.read_csv(study / "report/data/evolution.csv")["trial"]) == {2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["mine", "objective.metrics=[forces]"], "compare takes folders, and no overrides such as"),
        (["mine", "--weights", "esp=3"], "unknown loss term 'esp'; did you mean 'esps'?"),
        (["mine", "--weights", "esps"], "--weights: 'esps' is not name=number"),
        (["mine", "--trials", "77"], "--trials (mine): unknown trial '77'"),
        (["mine", "--figures", "gif"], "--figures: unknown format 'gif'"),
        (["mine", "--out", "mine/trials/0000/trial.json"], "--out DIR writes elsewhere"),
    ],
)
def test_an_error_is_one_line(study, capsys, arguments, message):
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    "arguments", [[], ["mine", "--rows", "0"], ["mine", "--watch", "x"], ["mine", "--colour"]]
)
def test_wrong_options(study, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def run_python(code, *, timeout=SECONDS):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=True
    ).stdout


def test_neither_torch_nor_training_is_imported(study):
    out = run_python(
        "import sys; from sweep.compare import main; main(['mine', '--figures', 'svg']); print();"
        " print([m for m in sys.modules if m == 'torch' or m.startswith(('sweep.training',"
        "'sweep.study', 'sweep.models', 'hydra'))])"
    )
    assert out.splitlines()[-1] == "[]"


def test_help_waits_for_nothing():
    out = run_python(
        "import sys\nfrom sweep.compare import main\ntry: main(['--help'])\n"
        "except SystemExit: pass\nprint([m for m in ('pandas', 'rich') if m in sys.modules])"
    )
    assert "loss-sweep compare outputs/esp_weights" in out
    assert out.splitlines()[-1] == "[]"


def wait_for(condition, process):
    until = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)


def test_watch_follows_a_study_until_it_is_interrupted(study):
    page = study / "report" / "index.html"
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep.compare", "mine", "--watch", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(page.exists, process)
        assert 'http-equiv="refresh" content="1"' in page.read_text(encoding="utf-8")
        path = study / "trials" / "0005" / "trial.json"  # the one that runs
        content = json.loads(path.read_text())
        before = page.stat().st_mtime_ns
        path.write_text('{"state": ')  # half-written: left out this time
        wait_for(lambda: page.stat().st_mtime_ns > before, process)
        metrics = {"valid": {"score": 0.0001, "rmse_forces": 0.0001}}
        path.write_text(json.dumps({**content, "state": "COMPLETE", "score": 1e-4,
                                    "metrics": metrics}))  # fmt: skip
        wait_for(lambda: "Trial 5 has the lowest score" in page.read_text("utf-8"), process)
        assert 'http-equiv="refresh"' in page.read_text(encoding="utf-8").split("<style>")[0]
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "Trial 5 has the lowest score" in out
    assert "Ctrl-C ends" in out
    assert 'http-equiv="refresh"' not in page.read_text(encoding="utf-8").split("<style>")[0]


def test_a_study_is_judged_by_other_metrics(big_study, tmp_path, capsys):
    """The page of the study itself stays; nothing is written into its records."""
    study = tmp_path / "mine"
    shutil.copytree(big_study, study)
    assert main([str(study), "--metrics", "energy", "--limit", "forces=3"]) == 0
    out = capsys.readouterr().out
    page = (study / "report_judged" / "index.html").read_text(encoding="utf-8")
    for text in (out, page):
        assert "Judged anew by energy" in " ".join(text.split())
        assert "forces ≤ 3 × default" in " ".join(text.split())
    assert not (study / "report").exists()
    trials = pd.read_csv(study / "report_judged" / "data" / "trials.csv")
    best = trials[trials["role"].str.contains("best", na=False)].iloc[0]
    ranked = trials.dropna(subset=["rank"])
    assert best["valid.energy (meV/atom)"] == ranked["valid.energy (meV/atom)"].min()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "forcs"], "--metrics: unknown quantity 'forcs'; did you mean 'forces'?"),
        (["--limit", "forces"], "--limit: 'forces' is not name=number"),
        (["--limit", "forces=a"], "--limit: forces is 'a', expected 0 or larger"),
    ],
)
def test_judging_by_what_is_not_there(big_study, arguments, message, capsys):
    assert main([str(big_study), *arguments]) == 1
    assert message in capsys.readouterr().err
