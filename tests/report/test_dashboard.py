"""Notes and pictures of trials, as optuna-dashboard serves them."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlsplit

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState

from sweep.dashboard import main
from sweep.errors import InputError
from sweep.hydra_plugin.sweeper import StudySweeper
from sweep.report.dashboard.notes import Dashboard, check_dashboard
from sweep.study.storage import open_study


@pytest.fixture
def study(make_trial, tmp_path):
    """Two complete trials, one that failed before its first epoch, one at work; all shown."""
    make_trial(0, role="default")
    make_trial(1, factor=0.5)
    failed = make_trial(2, state="FAILED", score=None, metrics={}, reason="esps is not finite")
    (failed / "breakdown.parquet").unlink()
    study = open_study(tmp_path, "mine")
    for number, state in enumerate((TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL)):
        trial = study.ask()
        Dashboard(tmp_path).show(trial)
        study.tell(trial, 0.2 if state == TrialState.COMPLETE else None, state=state)
        assert trial.number == number
    return study


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def url(study, tmp_path):
    """What the command prints, as a user runs it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep.dashboard", str(tmp_path), "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    printed = process.stdout.readline()
    assert printed.startswith(f"http://127.0.0.1:{port}/"), printed + process.stdout.read()
    yield printed.split()[0]
    process.terminate()
    rest, _ = process.communicate(timeout=30)
    assert "token" not in rest


def ask(url, *, opener=None, method="GET", data=None, **headers):
    """Status, type and body of an answer."""
    opener = opener or urllib.request.build_opener()
    asked = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with opener.open(asked, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


@pytest.fixture
def browser(url):
    """One that opened the printed URL."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    status, kind, page = ask(url, opener=opener)
    assert (status, kind.partition(";")[0]) == (200, "text/html")
    assert b"Optuna" in page
    return opener


@pytest.fixture
def served(url, browser):
    """GET of a path by this browser."""

    def get(path):
        status, kind, body = ask(f"http://{urlsplit(url).netloc}{path}", opener=browser)
        assert status == 200, path
        return kind, body

    return get


def test_nobody_else_is_let_in(url, browser):
    """Neither other users of the machine nor web pages, whatever name they call it by."""
    host = urlsplit(url).netloc
    port = host.partition(":")[2]
    studies = f"http://{host}/api/studies"
    assert ask(studies)[0] == 403
    assert ask(studies, method="POST", data=b"{}")[0] == 403
    assert ask(f"{studies}?token=guess")[0] == 403
    assert ask(studies, Cookie=f"sweep_dashboard_{port}=guess")[0] == 403
    assert ask(studies, Cookie=";;=,\x7f")[0] == 403
    assert ask(f"{studies}/0", method="DELETE")[0] == 403

    def own(**headers):
        return ask(studies, opener=browser, **headers)[0]

    assert own() == 200
    assert own(Host=f"localhost:{port}") == 200
    for name in (
        f"evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        f"127.0.0.1.evil.example:{port}",
    ):
        assert own(Host=name) == 403, name
        assert ask(url, Host=name)[0] == 403, name
    made = {"data": b'{"study_name": "x", "directions": ["minimize"]}', "method": "POST",
            "Content-Type": "application/json"}  # fmt: skip
    assert own(**made, Origin="http://evil.example") == 403
    assert own(**made, Origin=f"http://{host}") == 201


def test_the_dashboard_serves_notes_and_pictures(served):
    _, body = served("/api/studies")
    (listed,) = json.loads(body)["study_summaries"]
    assert listed["study_name"] == "mine"
    _, body = served(f"/api/studies/{listed['study_id']}?after=0")
    trials = json.loads(body)["trials"]
    notes = [trial["note"]["body"] for trial in trials]
    assert "## trial 0: default weights, complete" in notes[0]
    assert "| forces (meV/Å) | 25.0 (−50 %) | 31.2 (−50 %) |" in notes[1]
    assert "**Reason:** esps is not finite" in notes[2]
    for trial in trials[:2]:
        (artifact,) = trial["artifacts"]
        path = f"/artifacts/{listed['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}"
        assert f"({path})" in trial["note"]["body"]
        kind, picture = served(path)
        assert kind == "image/png"
        assert picture.startswith(b"\x89PNG")
    assert not trials[2]["artifacts"]


def test_a_trial_that_is_shown_again_keeps_its_picture(make_trial, tmp_path):
    make_trial(0, role="default")
    trial = open_study(tmp_path, "mine").ask()
    Dashboard(tmp_path).show(trial)
    Dashboard(tmp_path).show(trial)
    assert len(get_all_artifact_meta(trial)) == 1
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_a_trial_that_left_no_record_has_no_note(tmp_path):
    trial = open_study(tmp_path, "mine").ask()
    Dashboard(tmp_path).show(trial)
    assert not get_all_artifact_meta(trial)


@pytest.fixture
def missing(monkeypatch):
    """As if the package were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "optuna_dashboard" else find(name)
    )


def test_a_missing_package_is_one_line(missing, tmp_path, capsys):
    with pytest.raises(InputError, match=r"^where: needs optuna-dashboard; pip install '.*dash"):
        check_dashboard("where")
    assert main([str(tmp_path)]) == 1
    assert "loss-sweep dashboard: needs optuna-dashboard" in capsys.readouterr().err


def test_the_sweeper_asks_for_the_package_before_anything_else(missing):
    empty = OmegaConf.create()
    given = {
        "study_name": "s", "n_trials": 1, "n_jobs": 1, "workers_per_gpu": 1, "storage": None,
        "max_failure_rate": 0.5, "sampler": empty, "pruner": empty, "params": empty,
    }  # fmt: skip
    StudySweeper(**given, dashboard=False)
    with pytest.raises(InputError, match=r"^hydra\.sweeper\.dashboard=true: needs optuna-dash"):
        StudySweeper(**given, dashboard=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], r"holds no study.journal; for a study in a database give --storage URL"),
        ([".", "--storage", "nonsense"], "storage: not the URL of a database"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_told_in_one_line(study, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([str(tmp_path), "--port", str(port)]) == 1
    assert f"error: port {port}: " in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_what_is_no_port_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        main([".", "--port", port])
    assert "--port" in capsys.readouterr().err


def test_optuna_shows_nothing_of_its_own(study, capfd):
    assert capfd.readouterr().err == ""
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
