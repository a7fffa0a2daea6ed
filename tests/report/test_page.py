"""The page's text: its numbers are those of the recorded files, and no name becomes markup."""

from __future__ import annotations

import html
import io
import json
import math
import re

import pandas as pd
import pytest
from page_reader import Tables, payload, render

from sweep.quantities import QUANTITIES
from sweep.records.weights_file import loss_block
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.data_files import csv_files, data_tables
from sweep.report.comparison.sources import read_sources
from sweep.report.comparison.what_if import CAVEAT
from sweep.report.page.page import script_json

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked=1'>",
    '"><svg onload=window.hacked=1>',
    "{{ 7 * 7 }}{% raw %}",
    "<a href='javascript:window.hacked=1'>x</a> %{x} $x^2$ & <b>bold</b>",
)


@pytest.fixture(scope="module")
def page(big_study):
    comparison = compare(read_sources([big_study])[0], weights={"esps": 4.0})
    return comparison, render([comparison])


def recorded_metrics(study, label):
    table = pd.read_parquet(study / "trials" / f"{int(label):04d}/metrics.parquet")
    return table[table["split"] == "valid"].iloc[-1]


def recorded_shares(study, label, epoch=None):
    data = pd.read_parquet(study / "trials" / f"{int(label):04d}/breakdown.parquet")
    last = data[data["epoch"] == (data["epoch"].max() if epoch is None else epoch)]
    last = last.dropna(axis="columns", how="all")
    names = [name.removeprefix("raw.") for name in last if name.startswith("raw.")]
    weighted = pd.Series({n: (last[f"raw.{n}"] * last[f"weight.{n}"]).mean() for n in names})
    return weighted / weighted.sum()


def test_the_errors_are_those_of_the_files(page, big_study):
    _, text = page
    rows = Tables(text).rows("rank", "trial", "forces, validation meV/Å")
    assert len(rows) == 17
    default = recorded_metrics(big_study, 0)
    for row in rows:
        metrics = recorded_metrics(big_study, row["trial"][1])
        for key, heading in (("energy", "energy, validation meV/atom"),
                             ("forces", "forces, validation meV/Å"),
                             ("esps", "ESP, validation mV")):  # fmt: skip
            expected = metrics[f"rmse_{key}"] * QUANTITIES[key].display_factor
            if row["state"][0].startswith("failed"):
                continue
            shown, value = row[heading]
            assert float(value) == pytest.approx(expected)
            assert float(shown.split()[0]) == pytest.approx(expected, rel=0.006)
            if row["state"][0].strip() == "complete" and row["trial"][1] != "0":
                change = metrics[f"rmse_{key}"] / default[f"rmse_{key}"] - 1
                told = float(shown.split()[1].replace("−", "-").strip("±%")) / 100
                assert told == pytest.approx(change, abs=0.006)
    scores = [float(r["score, validation"][1]) for r in rows if r["rank"][1]]
    assert scores == sorted(scores)


def test_the_balance_is_that_of_the_files(page, big_study):
    _, text = page
    for row in Tables(text).rows("effective terms", "largest term"):
        shares = recorded_shares(big_study, row["trial"][1])
        name, share = row["largest term"][0].split(":")[0].split(", ")
        assert name.strip() == shares.idxmax()
        assert float(share.strip(" %")) == pytest.approx(100 * shares.max(), abs=0.6)
        entropy = -sum(s * math.log(s) for s in shares if s)
        assert float(row["effective terms"][1]) == pytest.approx(math.exp(entropy))


def test_the_figures_hold_the_numbers_of_the_files(page, big_study):
    _, text = page
    figures = payload(text)["studies"]["s0"]["figures"]
    heat = figures["s0-shares-0"]["data"][0]
    for caption, row in zip(heat["y"], heat["z"], strict=True):
        shares = recorded_shares(big_study, caption.split(" · ")[0])
        for term, value in zip(heat["x"], row, strict=True):
            assert value == (pytest.approx(shares[term]) if term in shares else None)
    data = pd.read_parquet(big_study / "trials/0000/breakdown.parquet")  # the first chosen one
    for trace in figures["s0-history-0"]["data"]:  # of few epochs: every step is a point
        values = data[f"raw.{trace['name']}"] * data[f"weight.{trace['name']}"] / data["total"]
        assert trace["y"] == pytest.approx(values.fillna(0.0).tolist())
        assert [math.floor(x) for x in trace["x"]] == data["epoch"].tolist()
    points = payload(text)["studies"]["s0"]["explorer"]
    for label, value in zip(
        points["labels"], points["columns"]["valid.forces"]["values"], strict=True
    ):
        if label != "15":  # failed
            assert value == pytest.approx(1000 * recorded_metrics(big_study, label)["rmse_forces"])


def test_the_csv_files_hold_the_figures(page):
    comparison, text = page
    embedded = payload(text)["csv"]
    assert embedded == csv_files([comparison])
    assert set(data_tables(comparison)) == {
        "trials", "change", "shares", "learning", "evolution", "gradients", "conflicts",
        "importance", "scatter", "pareto", "what_if",
    }  # fmt: skip
    import io

    shares = pd.read_csv(io.StringIO(embedded["shares.csv"]))
    pd.testing.assert_frame_equal(
        shares.drop(columns="trial"), comparison.shares.drop(columns="trial"), check_dtype=False
    )
    assert "valid.forces (meV/Å)" in embedded["trials.csv"].splitlines()[0]
    buttons = {attrs["data-csv"] for tag, attrs in Tables(text).tags if "data-csv" in attrs}
    assert buttons == embedded.keys()


def test_the_answer_stands_at_the_top(page):
    comparison, text = page
    best = comparison.source.label(comparison.best)
    begin = text[: text.index("<h2>Trials</h2>")]
    assert f"Trial {best} has the lowest score" in begin
    assert html.escape(loss_block(comparison.best.stages), quote=False) in html.unescape(begin)
    assert "loss-sweep export outputs/mine --format mace_scf" in begin
    rows = Tables(begin).rows("data")
    forces = [row for row in rows if row[""][1] == "forces" and row["data"][1] == "validation"]
    assert float(forces[0][f"best trial {best}"][1]) == comparison.value(best, "valid.forces")
    assert begin.index("Use these weights") < begin.index("Before you rely on it")


def test_the_what_if_is_labelled(page, big):
    assert CAVEAT in page[1]
    assert "esps = 4" in page[1]
    assert CAVEAT not in render([big])


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attrs in Tables(page[1]).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert name not in attrs, (tag, attrs)
        assert not any(name.startswith("on") for name in attrs)
    assert "default-src 'none'" in html.unescape(page[1].split("<style>")[0])
    assert 'http-equiv="refresh"' not in page[1].split("<style>")[0]


def test_a_live_page_loads_itself_again(big):
    assert '<meta http-equiv="refresh" content="7">' in render([big], refresh=7)


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(math.nan)


@pytest.fixture
def hostile(make_study):
    """A study with markup wherever a user, or someone who shares a study, can write."""
    study = make_study(HOSTILE[3].replace("/", ""), n_trials=9, terms=(*HOSTILE[:2], HOSTILE[4]))
    path = study / "trials" / "0002" / "trial.json"
    content = json.loads(path.read_text())
    content |= {"state": "FAILED", "reason": HOSTILE[0], "seed": HOSTILE[1], "device": HOSTILE[2]}
    content["params"][HOSTILE[2]] = HOSTILE[4]
    content["stages"][1]["name"] = HOSTILE[1]
    path.write_text(json.dumps(content))
    for number in range(3, 9):
        path = study / "trials" / f"{number:04d}" / "trial.json"
        content = json.loads(path.read_text())
        content |= {"device": HOSTILE[2], "git_commit": HOSTILE[0]}
        content["params"][HOSTILE[2]] = HOSTILE[4]
        content["stages"][1]["name"] = HOSTILE[1]
        path.write_text(json.dumps(content))
    (study / "trials" / HOSTILE[1]).mkdir()
    return study


def test_hostile_names_stay_text(hostile):
    comparison = compare(read_sources([hostile])[0])
    text = render([comparison])
    tags = Tables(text).tags
    assert sum(tag == "script" for tag, _ in tags) == 3
    assert not any(tag in ("img", "a", "b", "iframe") for tag, _ in tags)
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)
    assert "49" not in re.findall(r"<h1>(.*?)<small>", text, re.S)[0]
    for name in HOSTILE:
        assert html.escape(name) in text.replace("&#39;", "&#x27;").replace("&#34;", "&quot;")
    figures = json.dumps(payload(text)["studies"]["s0"]["figures"])
    assert "<img" not in figures
    assert "<script" not in figures


def test_folders_that_cannot_be_read_are_reported(tmp_path, make_trial):
    make_trial(0)
    (make_trial(1) / "trial.json").write_text('{"number": 1')
    text = render([compare(read_sources([tmp_path])[0])])
    assert "Left out, could not be read: 1 of" in text
    assert "0001/trial.json: not valid JSON" in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(start, make_study):
    """A spreadsheet would compute or run what begins like one."""
    term = f"{start}cmd|' /C calc'!A0"
    study = make_study(n_trials=2, terms=("forces", term))
    files = csv_files([compare(read_sources([study])[0])])
    for text in files.values():
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        for value in [*table.columns, *table.to_numpy().ravel()]:
            assert not str(value).startswith(start) or is_number(value)
    shares = pd.read_csv(io.StringIO(files["shares.csv"]))
    assert f"'{term}" in set(shares["term"])
    assert (shares["share"] >= 0).all()  # numbers stay numbers


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
