"""The balance under other weights."""

import math

import pytest

from sweep.errors import InputError
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.comparison.what_if import parse_numbers, what_if


def test_numbers_by_hand(make_trial, tmp_path):
    """Mean raw values 0.015, 0.25, 1.5 in the last epoch, weights 100, 2, 0.5."""
    make_trial(0, role="default")
    c = compare(read_sources([tmp_path])[0], weights={"forces": 10.0, "esps": 3.0})
    (one,) = c.what_if
    assert one.recorded.shares["forces"] == pytest.approx(6 / 11)
    weighted = {"forces": 0.15, "esps": 0.75, "forces_huber": 0.75}
    for name, value in weighted.items():
        assert one.changed.shares[name] == pytest.approx(value / 1.65)
    table = c.what_if_shares.set_index("term")
    assert table.loc["esps", ["weight_recorded", "weight"]].tolist() == [2.0, 3.0]
    assert one.unknown_terms == ()


def test_the_recorded_weights_change_nothing(big):
    for one in what_if(big.source, big.chosen, {"forces": 7.0}):
        same = what_if(big.source, [one.trial], {"forces": one.recorded.weights["forces"]})
        assert same[0].changed.shares == pytest.approx(one.recorded.shares)
        assert one.changed.weights["esps"] == one.recorded.weights["esps"]


def test_a_term_that_was_not_evaluated_cannot_be_told(make_two_stage_trial):
    folder = make_two_stage_trial(
        0, {"forces": 1.0, "esps": 0.0, "dipole": 1.0}, {"forces": 0.1}, n_epochs=1, role="default"
    )
    trial = folder / "breakdown.parquet"
    import pandas as pd

    data = pd.read_parquet(trial)
    data["raw.esps"] = 0.0  # a term of weight 0 is recorded so
    data.to_parquet(trial)
    c = compare(read_sources([folder.parents[1]])[0], weights={"esps": 5.0})
    assert c.what_if[0].unknown_terms == ("esps",)
    assert math.isnan(c.what_if_shares.set_index("term").loc["esps", "share"])


def test_an_unknown_term_is_named(big):
    with pytest.raises(
        InputError, match=r"--weights \(mine\): unknown loss term 'forcs'.*'forces'"
    ):
        what_if(big.source, big.chosen, {"forcs": 1.0})


def test_a_total_of_zero_has_no_balance(big):
    assert what_if(big.source, ["0"], {"forces": 0.0, "esps": 0.0, "dipole": 0.0}) == []


def test_weights_as_text():
    assert parse_numbers("--weights", "esps=3, forces = 5e1") == {"esps": 3.0, "forces": 50.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("esps", "'esps' is not name=number"),
        ("", "'' is not name=number"),
        ("=3", "'=3' is not name=number"),
        ("esps=3,esps=4", "'esps' stands there twice"),
        ("esps=-1", "esps is '-1', expected 0 or larger"),
        ("esps=nan", "esps is 'nan'"),
        ("esps=inf", "esps is 'inf'"),
        ("esps=a", "esps is 'a'"),
    ],
)
def test_weights_that_are_none(text, message):
    with pytest.raises(InputError, match=f"^--weights: {message}"):
        parse_numbers("--weights", text)
