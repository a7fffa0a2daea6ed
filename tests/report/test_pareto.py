"""Fronts and knees."""

import pandas as pd

from sweep.report.comparison.pareto import strongest_trade_off


def test_the_fronts_of_a_study(big):
    assert len(big.fronts.groupby(["x_metric", "y_metric"])) == 6  # of four metrics
    front = big.fronts.query("x_metric == 'energy' and y_metric == 'forces'")
    # Forces fall and the energy grows with the same weight, so that every trial is on this front.
    assert set(front["trial"]) == set(big.complete.index)
    assert front["knee"].sum() == 1
    for _, row in front.iterrows():
        assert row["x"] == big.value(row["trial"], "valid.energy")
        assert row["y"] == big.value(row["trial"], "valid.forces")


def test_the_strongest_trade_off(big):
    assert strongest_trade_off(big.trials) == ("energy", "forces")
    one = pd.DataFrame({"rank": [1.0], "valid.score": [1.0], "valid.forces": [1.0]})
    assert strongest_trade_off(one) is None
    assert strongest_trade_off(big.trials.iloc[:0]) is None
