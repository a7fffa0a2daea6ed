"""The page in headless Chromium: everything draws, sorts, copies and saves, without an error."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest
from chromium import SECONDS, Browser

from sweep.records.weights_file import loss_block
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.data_files import csv_files
from sweep.report.comparison.sources import read_sources
from sweep.report.page.page import render_page

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<a href='javascript:window.hacked=1'>x</a> %{x} $x^2$ <b>bold</b>",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def write_page(path, comparisons):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = csv_files(comparisons)
    folders = {c.source.name: "outputs/mine" for c in comparisons}
    path.write_text(render_page(comparisons, data, folders=folders), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(browser, big_study, tmp_path_factory):
    """The page of a whole study, open."""
    comparison = compare(read_sources([big_study])[0], weights={"esps": 4.0})
    path = write_page(tmp_path_factory.mktemp("page") / "index.html", [comparison])
    browser.open(path)
    return comparison, path


def plots(browser):
    """How many figures there are, and how many of them drew something."""
    return browser.run(
        "[document.querySelectorAll('.plot').length,"
        " [...document.querySelectorAll('.plot')].filter((p) => p.querySelector('.main-svg')"
        "   && p.querySelector('.trace, .hm, .cartesianlayer path, image')).length]"
    )


def test_all_figures_draw_without_a_complaint(browser, page):
    comparison, path = page
    n_plots, n_drawn = plots(browser)
    assert n_plots == n_drawn
    learning, search, parallel = 5, 1, 1
    expected = 5 + 2 + 2 * len(comparison.chosen) + learning + search + parallel
    assert n_plots == expected
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("data:", "blob:"))] == [
        path.as_uri()
    ]


def test_nothing_overflows_the_window(browser, page):
    for width in (1300, 420):
        browser.send("Emulation.setDeviceMetricsOverride", width=width, height=900,
                     deviceScaleFactor=1, mobile=False)  # fmt: skip
        browser.run("new Promise((done) => setTimeout(done, 500))")
        assert browser.run("document.documentElement.scrollWidth") <= width
    browser.send("Emulation.clearDeviceMetricsOverride")
    browser.run("new Promise((done) => setTimeout(done, 300))")


def column(browser, table, name):
    """The texts of a column as they stand now."""
    return browser.run(
        f"(() => {{ const t = document.querySelectorAll('table')[{table}];"
        f" const i = [...t.tHead.rows[0].cells].findIndex((c) => c.innerText.startsWith({name!r}));"
        " return [...t.tBodies[0].rows].map((r) => r.cells[i].innerText.trim()); })()"
    )


def click(browser, table, name):
    return browser.run(
        f"(() => {{ const t = document.querySelectorAll('table')[{table}];"
        f" const h = [...t.tHead.rows[0].cells].find((c) => c.innerText.startsWith({name!r}));"
        " h.querySelector('button').click(); return h.getAttribute('aria-sort'); })()"
    )


def test_tables_sort(browser, page):
    comparison, _ = page
    forces = comparison.trials["test.forces"].dropna().sort_values().tolist()
    empty = len(comparison.trials) - len(forces)
    assert empty == 2
    for order, expected in (("ascending", forces), ("descending", forces[::-1])):
        assert click(browser, 1, "forces, test") == order
        labels = [text.split()[0] for text in column(browser, 1, "trial")]
        values = comparison.trials.loc[labels, "test.forces"]
        assert values.dropna().tolist() == expected
        assert values.isna().tolist()[-empty:] == [True] * empty  # last in any order
    assert click(browser, 1, "state") == "ascending"
    states = [text.split()[0] for text in column(browser, 1, "state")]
    assert states == sorted(states)
    assert browser.run("document.querySelectorAll('th[aria-sort]').length") == 1
    assert click(browser, 1, "rank") == "ascending"
    assert column(browser, 1, "rank")[:14] == [str(i) for i in range(1, 15)]
    assert browser.complaints() == []


def choose(browser, plot, axis, value):
    browser.run(
        f"(() => {{ const s = document.getElementById('{plot}').closest('figure')"
        f".querySelector('select.{axis}'); s.value = {value!r};"
        " s.dispatchEvent(new Event('change')); })()"
    )


def test_any_two_columns_can_be_chosen(browser, page):
    comparison, _ = page
    choose(browser, "s0-scatter", "x", "share.esps")
    choose(browser, "s0-scatter", "y", "test.energy")
    titles = browser.run(
        "['x', 'y'].map((a) => document.querySelector(`#s0-scatter .${a}title`).textContent)"
    )
    assert titles == ["share of esps", "energy, test (meV/atom)"]
    choose(browser, "s0-pareto", "x", "valid.forces")
    choose(browser, "s0-pareto", "y", "valid.energy")
    traces = browser.run(
        "document.getElementById('s0-pareto').data.map((t) => [t.name, [...t.x], [...t.y]])"
    )
    lines = {name: (x, y) for name, x, y in traces}
    front = comparison.fronts.query("x_metric == 'energy' and y_metric == 'forces'")
    x, y = lines["no other is better in both"]
    assert (x, y) == (front["y"].tolist(), front["x"].tolist())
    row = front[front["knee"]].iloc[0]
    assert lines[f"knee: trial {row['trial']}"] == ([row["y"]], [row["x"]])
    points = sum(len(x) for name, (x, _) in lines.items()
                 if not name.startswith(("no other", "knee")))  # fmt: skip
    assert points == comparison.trials[["valid.forces", "valid.energy"]].dropna().shape[0]
    assert browser.complaints() == []


def test_stages_can_be_chosen_in_the_heat_map(browser, page):
    shown = "document.getElementById('s0-shares-0').data.map((t) => t.visible)"
    assert browser.run(shown) == [True, False, False]
    browser.run(
        "document.querySelectorAll('#s0-shares-0 .updatemenu-button')[1]"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    browser.run("new Promise((done) => setTimeout(done, 300))")
    assert browser.run(shown) == [False, True, False]


def test_the_weights_can_be_copied(browser, page):
    comparison, _ = page
    browser.send("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    browser.run("document.querySelector('button.copy').click()")
    browser.run("new Promise((done) => setTimeout(done, 300))")
    assert browser.run("document.querySelector('button.copy').textContent") in (
        "Copied", "Press Ctrl+C",
    )  # fmt: skip
    shown = browser.run("document.getElementById('s0-block').textContent")
    assert shown == loss_block(comparison.best.stages)


def test_the_data_can_be_saved(browser, page, tmp_path):
    comparison, _ = page
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.run("document.querySelector('button[data-csv=\"shares.csv\"]').click()")
    path, until = tmp_path / "shares.csv", time.monotonic() + SECONDS
    while not path.exists() and time.monotonic() < until:
        browser.run("new Promise((done) => setTimeout(done, 100))")
    assert len(pd.read_csv(path)) == len(comparison.shares)
    assert browser.complaints() == []


def test_hostile_names_run_nothing(browser, make_study, tmp_path):
    study = make_study(HOSTILE[1].replace("/", ""), n_trials=9, terms=HOSTILE)
    path = study / "trials" / "0003" / "trial.json"
    content = json.loads(path.read_text())
    content |= {"state": "FAILED", "reason": HOSTILE[0]}
    path.write_text(json.dumps(content))
    comparison = compare(read_sources([study])[0], weights={HOSTILE[0]: 2.0})
    browser.open(write_page(tmp_path / "page.html", [comparison]))
    assert browser.run("window.hacked") is None
    assert browser.complaints() == []
    n_plots, n_drawn = plots(browser)
    assert n_plots == n_drawn > 10
    assert browser.run("document.querySelectorAll('img, a[href], b').length") == 0
    assert HOSTILE[0] in browser.run("document.querySelector('p.terms').textContent")
    labels = browser.run(
        "[...document.querySelectorAll('#s0-shares-0 .xtick text')].map((t) => t.textContent)"
    )
    assert labels == list(HOSTILE)


def test_several_studies_and_many_terms(browser, big, make_study, tmp_path):
    many = make_study("many", n_trials=8, terms=tuple(f"term_{i}" for i in range(12)))
    comparisons = [compare(source) for source in read_sources([big.source.study.folder, many])]
    browser.open(write_page(tmp_path / "page.html", comparisons))
    n_plots, n_drawn = plots(browser)
    assert n_plots == n_drawn > 20
    assert browser.complaints() == []


def test_a_study_without_anything(browser, tmp_path):
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    comparison = compare(read_sources([tmp_path / "empty"])[0])
    browser.open(write_page(tmp_path / "page.html", [comparison]))
    assert plots(browser) == [0, 0]
    assert browser.complaints() == []
