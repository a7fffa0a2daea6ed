"""Every distribution of the search is told in study.json and read back."""

from __future__ import annotations

import json

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweep.records.study_record import Dimension
from sweep.search.dimensions import to_dimension, to_distribution
from sweep.search.space import SearchSpace

DISTRIBUTIONS = [
    FloatDistribution(0.1, 10),
    FloatDistribution(0.1, 10, log=True),
    FloatDistribution(0.1, 0.5, step=0.1),
    IntDistribution(1, 9),
    IntDistribution(1, 64, log=True),
    IntDistribution(8, 32, step=8),
    CategoricalDistribution(("on", "off")),
    CategoricalDistribution((1, 2.5, None, True)),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
def test_there_and_back_through_a_file(distribution):
    written = json.loads(json.dumps(to_dimension(distribution).as_json()))
    assert to_distribution(Dimension.read(written)) == distribution


def test_the_grammar_of_the_configuration():
    space = SearchSpace.parse({"loss.esps.weight": "tag(log, interval(0.1, 10))"}, [])
    (dimension,) = map(to_dimension, space.distributions.values())
    assert dimension == Dimension("float", 0.1, 10.0, log=True)
