"""The figures for a paper."""

import pytest

from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.figures.static import draw_figures

FIGURES = {
    "learning", "search", "parallel",
    "shares", "evolution", "gradients", "conflicts", "importance", "scatter", "pareto", "what_if",
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(big_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    comparison = compare(read_sources([big_study])[0], weights={"esps": 4.0})
    draw_figures([comparison], folder, ["svg"])
    return folder


def test_every_figure_is_there(drawn):
    assert {path.name for path in drawn.iterdir()} == {f"{name}.svg" for name in FIGURES}


@pytest.mark.slow
def test_the_same_data_give_the_same_file(drawn, big_study, tmp_path):
    comparison = compare(read_sources([big_study])[0], weights={"esps": 4.0})
    draw_figures([comparison], tmp_path, ["svg"])
    for path in drawn.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_other_formats_and_several_studies(big, make_study, tmp_path):
    other = compare(read_sources([make_study("other", n_trials=2)])[0])
    draw_figures([other, other], tmp_path, ["png", "pdf"])
    assert (tmp_path / "1_shares.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "2_shares.pdf").read_bytes().startswith(b"%PDF")


def test_names_with_dollars_and_many_terms(make_study, tmp_path):
    terms = ("a$b$", r"$\frac{1}{", *(f"term_{i}" for i in range(9)))
    study = make_study("s", n_trials=9, terms=terms)
    draw_figures([compare(read_sources([study])[0])], tmp_path, ["svg"])
    assert {path.stem for path in tmp_path.glob("*.svg")} == FIGURES - {"what_if"}


def test_a_study_with_nothing_to_draw(tmp_path):
    (tmp_path / "none" / "trials").mkdir(parents=True)
    draw_figures([compare(read_sources([tmp_path / "none"])[0])], tmp_path / "out", ["svg"])
    assert not (tmp_path / "out").exists()
