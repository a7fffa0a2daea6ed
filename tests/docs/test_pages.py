"""README and docs say what is so: links, tables of columns and units, terms, rooms."""

from __future__ import annotations

import json
import re

import pytest
import terms_page
import yaml
from pages import PAGES, ROOT, blocks

import losses
import sweep
from sweep.cli.app import COMMANDS
from sweep.quantities import QUANTITIES
from sweep.records.notes import Note, write_note


def rows(page: str, heading: str) -> dict[str, str]:
    """The table below a heading: first column -> the rest."""
    text = PAGES[page].split(f"{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", text, re.M).group().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|", 1)] for line in lines]
    return {first: rest for first, rest in cells}


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-")
                       for h in headings}  # fmt: skip
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    """Paths of this repository in backticks."""
    for path in re.findall(r"`((?:sweep|losses|conf|tests|\.ci)/[\w./]+)`", PAGES[page]):
        assert (ROOT / path).exists(), path


def test_every_page_is_in_the_readme():
    for page in PAGES:
        assert page == "README.md" or f"]({page})" in PAGES["README.md"]


def test_every_command_is_in_the_docs():
    text = "".join(PAGES.values())
    for command in COMMANDS:
        if command != "generate":  # by its module, which is run by .ci/run
            assert f"loss-sweep {command} " in text, command


def test_the_terms_are_those_that_there_are():
    _, _, written = PAGES["docs/terms.md"].partition(terms_page.MARK)
    assert written.strip() == terms_page.render().strip(), "run python tests/docs/terms_page.py"
    assert re.findall(r"^## `(\w+)`$", written, re.M) == list(losses.names())


def test_the_units_are_those_of_the_quantities():
    table = rows("docs/python.md", "## Studies")
    assert {names(key)[0]: unit for key, unit in table.items()} == {
        name: quantity.unit for name, quantity in QUANTITIES.items()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    from study_fixtures import write_study

    folder = write_study(tmp_path_factory.mktemp("study") / "mine")
    path = folder / "trials" / "0001" / "trial.json"
    kinds = {"test": {"one": {"n": 3, "rmse_forces": 0.1}, "two-3": {"n": 2, "rmse_forces": 0.2}}}
    more = dict.fromkeys(("config_types", "elements", "sizes"), kinds)
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    write_note(folder / "trials" / "0002", Note("stiff", ("paper",)))
    return sweep.load_study(folder)


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("### `study.trials`", lambda study: study.trials),
        ("### `trial.steps()`", lambda study: study[1].steps()),
        ("### `trial.metrics()`", lambda study: study[1].metrics()),
        ("### `trial.gradients()`", lambda study: study[1].gradients()),
    ],
)
def test_the_columns_are_those_of_the_tables(study, heading, table):
    documented = [name for cell in rows("docs/python.md", heading) for name in names(cell)]
    patterns = [re.sub(r"<\w+>", r"[\\w.-]+", re.escape(name)) for name in documented]
    columns = list(table(study).columns)
    assert columns
    for column in columns:
        assert any(re.fullmatch(pattern, column) for pattern in patterns), column
    for name, pattern in zip(documented, patterns, strict=True):
        assert any(re.fullmatch(pattern, column) for column in columns), name


def test_every_room_is_drawn_and_has_its_contract():
    rooms = {path.parent.name for path in (ROOT / "sweep").glob("*/__init__.py")} | {"losses"}
    listed = {names(cell)[0] for cell in rows("docs/development.md", "## How the code is laid out")}
    assert listed == rooms
    (drawing,) = [each.text for each in blocks("mermaid")]
    text = re.sub(r'\["[^"]*"\]', "", drawing)
    edges = re.findall(r"^ *(\w+) --> (\w+)$", text, re.M)
    assert {end for edge in edges for end in edge} == rooms
    for upper, lower in edges:
        folder = ROOT / "sweep" / upper
        package = lower if lower == "losses" else f"sweep.{lower}"
        code = "".join(path.read_text("utf-8") for path in folder.rglob("*.py"))
        assert re.search(rf"(?:from|import) {package}\b", code), f"{upper} imports no {lower}"


def test_the_models_and_their_terms_are_all_named():
    cells = rows("docs/models.md", "learn):")
    found = {name for cell in cells for name in names(cell)}
    for term in losses.names():
        plain = term.removesuffix("_huber")
        assert any(re.fullmatch(name.replace("*", r"\w*"), plain) for name in found), term


def test_samplers_and_pruners_are_all_named():
    for group, heading in (("sampler", "| sampler |"), ("pruner", "| pruner |")):
        page = PAGES["docs/studies.md"]
        text = page[page.index(heading) :]
        lines = re.match(r"(?:^\|.*\n)+", text, re.M).group().splitlines()[2:]
        named = {name for line in lines for name in names(line.split("|")[1])}
        there = {path.stem for path in (ROOT / "conf/hydra/sweeper" / group).glob("*.yaml")}
        assert named == there


def test_weightings_are_all_named():
    named = {names(cell)[0] for cell in rows("docs/training.md", "switches a term off:")}
    assert named == {path.stem for path in (ROOT / "conf/weighting").glob("*.yaml")}


def test_experiments_are_all_named():
    named = {names(cell)[0] for cell in rows("docs/studies.md", "two cores:")}
    assert named == {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    for name in named:
        assert yaml.safe_load((ROOT / f"conf/experiment/{name}.yaml").read_text())
