"""Studies made of given weights and errors, and how advice on them is read."""

from __future__ import annotations

import json
import re

import pytest

from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources

EVEN = {"forces": 1.0, "esps": 1.0, "dipole": 1.0}


@pytest.fixture
def study(make_two_stage_trial):
    """Make a comparison from (weights, errors, more) of trials 0, 1, ...; 0 is the default."""

    def make(*trials):
        for number, (weights, errors, *more) in enumerate(trials):
            content = {"role": "default" if number == 0 else None, **(more[0] if more else {})}
            folder = make_two_stage_trial(number, {**EVEN, **weights}, errors, **content)
        return compare(read_sources([folder.parents[1]])[0])

    return make


@pytest.fixture
def said():
    """The texts of a rule."""
    return lambda rule, comparison: [advice.text for advice in rule(comparison)]


@pytest.fixture
def numbers():
    """The numbers of a text, in its order, with percentages as fractions."""

    def read(text):
        found = re.findall(r"([−+-]?\d+(?:\.\d+)?)( %)?", text)
        values = [(float(value.replace("−", "-")), percent) for value, percent in found]
        return [value / 100 if percent else value for value, percent in values]

    return read


@pytest.fixture
def train_again(tmp_path):
    """Write trainings of a trial of the study ``mine`` with other seeds, by their scores."""

    def make(number, scores, **errors):
        source = tmp_path / "mine" / "trials" / f"{number:04d}" / "trial.json"
        for seed, score in enumerate(scores, start=1):
            content = json.loads(source.read_text())
            measured = {"score": score, "rmse_forces": score}
            measured |= {name: values[seed - 1] for name, values in errors.items()}
            metrics = {"valid": measured, "test": measured}
            content |= {"seed": seed, "score": score, "metrics": metrics}
            target = tmp_path / "mine" / "confirm" / f"{number:04d}-seed{seed}"
            target.mkdir(parents=True, exist_ok=True)
            (target / "trial.json").write_text(json.dumps(content))

    return make
