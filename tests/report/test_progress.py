"""Learning curves, the history of the search, and parallel coordinates."""

import pandas as pd
import pytest

from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.figures.plots_progress import learning_curves, parallel_coordinates
from sweep.report.figures.progress import learning_panels, parallel_axes, search_panels


def test_learning_curves_are_those_of_the_files(big):
    panels = {panel.title: panel for panel in learning_panels(big)}
    assert list(panels) == [
        "training loss, own weights", "score, validation", "energy, validation",
        "forces, validation", "ESP, validation",
    ]  # fmt: skip
    for role, trial in big.shown.items():
        metrics = pd.read_parquet(trial.folder / "metrics.parquet")
        points = panels["forces, validation"].lines[role]
        assert points.x == metrics["epoch"].tolist()
        assert points.y == pytest.approx((1000 * metrics["rmse_forces"]).tolist())
        steps = pd.read_parquet(trial.folder / "breakdown.parquet")
        loss = steps.groupby("epoch")["total"].mean()
        assert panels["training loss, own weights"].lines[role].y == pytest.approx(loss.tolist())
    assert panels["forces, validation"].unit == "meV/Å"


def test_one_epoch_is_no_curve(make_two_stage_trial, tmp_path):
    make_two_stage_trial(0, {"forces": 1.0, "esps": 1.0, "dipole": 1.0}, {"forces": 0.1},
                         n_epochs=1, role="default")  # fmt: skip
    assert learning_panels(compare(read_sources([tmp_path / "mine"])[0])) == []


def test_tables_that_cannot_be_read_have_no_curve(make_trial, tmp_path):
    folder = make_trial(0, role="default")
    for name in ("metrics", "breakdown"):
        (folder / f"{name}.parquet").write_bytes(b"PAR1")
    assert learning_panels(compare(read_sources([tmp_path])[0])) == []


def test_the_best_so_far(study):
    limited = {"objective": {"metrics": ["forces"], "statistic": "rmse",
                             "constraints": {"forces": 1.5}}}  # fmt: skip
    errors = [0.3, 0.5, 0.2, 0.25, 0.1]
    c = study(*(({}, {"forces": value}, limited) for value in errors))
    (panel,) = search_panels(c)
    assert panel.title == "score, validation"
    assert panel.lines["not ranked"].x == [1]
    assert panel.lines["best so far"].x == [0, 2, 3, 4]
    assert panel.lines["best so far"].y == pytest.approx([0.3, 0.2, 0.2, 0.1])
    assert panel.lines["ranked"].names[-1] == "trial 4"


def test_each_of_several_objectives_has_its_history(study):
    both = {"objective": {"metrics": ["forces"], "statistic": "rmse",
                          "minimize": ["forces", "energy"]}}  # fmt: skip
    c = study(*(({}, {"forces": f, "energy": e}, both) for f, e in ((0.3, 0.1), (0.1, 0.3))))
    assert [panel.title for panel in search_panels(c)] == [
        "forces, validation", "energy, validation",
    ]  # fmt: skip


def test_parallel_coordinates(big):
    found = parallel_axes(big)
    assert found.names == [f"trial {label}" for label in big.ranked.index]
    axes = {one.title: one for one in found.axes}
    assert set(axes) == {
        "weight of forces", "weight of esps", "weight of dipole", "score, validation",
        "energy, validation (meV/atom)", "forces, validation (meV/Å)", "ESP, validation (mV)",
    }  # fmt: skip
    forces = axes["weight of forces"]  # over three powers of ten
    values = big.ranked["param.loss.forces.weight"]
    assert [10**value for value in forces.values] == pytest.approx(values.tolist())
    assert tuple(text for _, text in forces.ticks)[-2:] == ("1", "10")
    for one in found.axes:
        heights = [one.height(row) for row in range(len(found.names))]
        assert min(heights) >= 0
        assert max(heights) <= 1
    lines = parallel_coordinates(big)["data"]
    assert [line["name"] for line in lines] == found.names[::-1]  # the best on top


def test_words_among_the_searched_values(study):
    params = [
        {"model": name, "lr": lr} for name, lr in (("big", 0.1), ("small", 0.2), ("big", 0.3))
    ]
    c = study(*(({}, {"forces": 0.1 + i}, {"params": p}) for i, p in enumerate(params)))
    (model,) = [one for one in parallel_axes(c).axes if one.title == "model"]
    assert model.texts == ["big", "small", "big"]
    assert model.ticks == [(0.0, "big"), (1.0, "small")]
    assert model.values == [0.0, 1.0, 0.0]


def test_single_trials_have_no_history(big):
    c = compare(read_sources([trial.folder for trial in list(big.source.study)[:3]])[0])
    assert search_panels(c) == []
    assert len(learning_curves(c)) == 5
