"""The figure shows the numbers of the summary."""

import math

import pytest
from matplotlib import image
from matplotlib.figure import Figure

from sweep.records import Study
from sweep.report.figures.overview import draw_comparison
from sweep.report.figures.palette import COLOURS


def draw(monkeypatch, folder):
    """Draw the figure; returns its two axes as matplotlib has them."""
    drawn = []
    save = Figure.savefig

    def keep(self, *args, **kwargs):
        drawn.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_comparison(Study.read(folder, "mine"))
    return drawn[0].axes


def bars(axes):
    return [[(bar.get_width(), bar.get_height()) for bar in group] for group in axes.containers]


def test_bars_are_the_errors_relative_to_the_default(study_folder, monkeypatch):
    left, _ = draw(monkeypatch, study_folder)
    heights = [[height for _, height in group] for group in bars(left)]
    # the score, energy and forces; of default, balanced and best
    for group, ratio in zip(heights, (1.0, 0.8, 0.5), strict=True):
        assert group == pytest.approx([ratio] * 3)
    lefts = [group[0].get_x() for group in left.containers]
    assert lefts == sorted(lefts)  # in the order of the legend
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "default (trial 0)", "balanced (trial 1)", "best (trial 2)",
    ]  # fmt: skip
    labels = [label.get_text().split() for label in left.get_xticklabels()]
    assert labels == [
        ["score", "0.250"],
        ["energy", "1.88", "meV/atom"],
        ["forces", "62.5", "meV/Å"],
    ]
    assert left.get_title().startswith("test error")
    assert left.get_ylim()[0] == 0
    assert left.get_ylim()[1] > 1


def test_bars_of_the_balance_fill_the_line(study_folder, monkeypatch):
    _, right = draw(monkeypatch, study_folder)
    widths = [[width for width, _ in group] for group in bars(right)]
    assert [group[0] for group in widths] == pytest.approx([6 / 11, 2 / 11, 3 / 11])
    for trial in zip(*widths, strict=True):
        assert sum(trial) == pytest.approx(1.0)
    assert [text.get_text() for text in right.get_legend().get_texts()] == [
        "forces", "esps", "forces_huber",
    ]  # fmt: skip


def test_the_file_is_a_picture(study_folder, monkeypatch):
    draw(monkeypatch, study_folder)
    path = study_folder / "comparison.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = image.imread(path)
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 2 * pixels.shape[0]
    assert pixels[..., :3].std() > 0.05  # something is drawn
    assert not list(study_folder.glob("*.tmp"))


def test_without_a_test_set_it_shows_the_validation(make_trial, tmp_path, monkeypatch):
    for number, (role, score) in enumerate((("default", 0.4), (None, 0.1))):
        metrics = {"valid": {"score": score, "rmse_energy": score, "rmse_forces": 0.0}}
        make_trial(number, role=role, score=score, metrics=metrics)
    left, right = draw(monkeypatch, tmp_path)
    assert left.get_title().startswith("validation error")
    heights = [[height for _, height in group] for group in bars(left)]
    assert heights == [pytest.approx([1.0, 1.0]), pytest.approx([0.25, 0.25])]
    for axes in (left, right):
        for group in bars(axes):
            assert all(math.isfinite(size) for bar in group for size in bar)


def test_without_balance_the_errors_are_still_drawn(make_trial, tmp_path, monkeypatch):
    (make_trial(0, role="default") / "breakdown.parquet").unlink()
    left, right = draw(monkeypatch, tmp_path)
    assert len(bars(left)) == 1
    (label,) = left.get_legend().get_texts()
    assert label.get_text() == "default, best (trial 0)"
    assert bars(right) == []


def test_more_terms_than_colours_are_all_drawn(make_trial, tmp_path, monkeypatch):
    n_terms = len(COLOURS) + 2
    folder = make_trial(0, role="default")
    import pandas as pd

    columns = {f"raw.t{i}": [1.0] for i in range(n_terms)}
    columns |= {f"weight.t{i}": [1.0] for i in range(n_terms)}
    pd.DataFrame({"epoch": [0], **columns}).to_parquet(folder / "breakdown.parquet")
    _, right = draw(monkeypatch, tmp_path)
    assert [group[0][0] for group in bars(right)] == pytest.approx([1 / n_terms] * n_terms)


def test_without_a_default_there_is_nothing_to_compare_with(make_trial, tmp_path):
    make_trial(0)
    draw_comparison(Study.read(tmp_path, "mine"))
    assert not (tmp_path / "comparison.png").exists()
