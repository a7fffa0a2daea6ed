"""Finished trials whose record is damaged or gone: finished again, or named."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from study_process import SMOKE, Command

pytestmark = pytest.mark.slow  # a study of several trainings is copied and mended

ARGUMENTS = (*SMOKE, "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=3")
STUDY = Path("outputs") / "smoke"


def sweep(folder: Path) -> tuple[int, str]:
    with Command(folder, *ARGUMENTS) as command:
        return command.wait(), command.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    status, output = sweep(folder)
    assert status == 0, output
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def answer(folder: Path) -> tuple[int, list[float]]:
    summary = json.loads((folder / STUDY / "summary.json").read_text())
    return summary["references"]["best"]["trial"], [t["score"] for t in summary["trials"]]


def test_an_older_best_model_over_the_last_one_is_seen(copy):
    """As a worker does that stood still in a rename until another had finished its trial."""
    number, scores = answer(copy)
    best = copy / STUDY / "trials" / f"{number:04d}" / "best.pt"
    content = torch.load(best, weights_only=True)
    own = best.read_bytes()
    content["epoch"] = 0
    content["model"] = {key: value + 1 for key, value in content["model"].items()}
    torch.save(content, best)
    status, output = sweep(copy)
    assert status == 0, output
    assert f"trial {number}: its record is damaged or gone; it is finished again" in output
    assert answer(copy) == (number, scores)
    assert set(torch.load(best, weights_only=True)) == set(content)
    again = torch.load(best, weights_only=True)["model"]
    before = torch.load(io.BytesIO(own), weights_only=True)["model"]
    assert all(torch.equal(again[key], value) for key, value in before.items())
    status, output = sweep(copy)
    assert "finished again" not in output


def test_an_emptied_record_of_the_best_trial_is_written_again(copy):
    number, scores = answer(copy)
    best = copy / STUDY / "trials" / f"{number:04d}"
    content = json.loads((best / "trial.json").read_text())
    steps = pd.read_parquet(best / "breakdown.parquet")
    (best / "trial.json").write_text("")
    status, output = sweep(copy)
    assert status == 0, output
    assert f"trial {number}: its record is damaged or gone; it is finished again" in output
    assert answer(copy) == (number, scores)
    again = json.loads((best / "trial.json").read_text())
    same = ("state", "score", "epoch", "metrics", "params", "stages", "number")
    assert {key: again[key] for key in same} == {key: content[key] for key in same}
    pd.testing.assert_frame_equal(pd.read_parquet(best / "breakdown.parquet"), steps)


def test_a_trial_of_which_nothing_is_left_is_named(copy):
    number, _ = answer(copy)
    shutil.rmtree(copy / STUDY / "trials" / f"{number:04d}")
    status, output = sweep(copy)
    assert status == 1
    assert f"calls trials {number} finished, but their records are gone" in output
