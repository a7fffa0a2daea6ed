"""Term balance from the recorded breakdown."""

import math

import pandas as pd
import pytest

from sweep.records.balance import Balance, last_epoch_balance


def test_numbers_by_hand(make_trial):
    balance = last_epoch_balance(make_trial(0))
    assert balance.weights == {"forces": 100.0, "esps": 2.0, "forces_huber": 0.5}
    expected = {"forces": 6 / 11, "esps": 2 / 11, "forces_huber": 3 / 11}
    assert balance.shares == pytest.approx(expected)
    assert balance.dominant == "forces"
    assert balance.starved == []
    entropy = -sum(share * math.log(share) for share in expected.values())
    assert balance.effective_terms == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize(
    ("shares", "effective"),
    [
        ({"a": 1.0}, 1.0),
        ({"a": 1.0, "b": 0.0}, 1.0),
        ({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}, 4.0),
        ({"a": 0.5, "b": 0.5, "c": 0.0}, 2.0),
    ],
)
def test_effective_number_of_terms(shares, effective):
    assert Balance(dict.fromkeys(shares, 1.0), shares).effective_terms == pytest.approx(effective)


def test_a_term_is_starved_below_one_percent_if_it_has_a_weight():
    balance = Balance(
        {"a": 1.0, "b": 1.0, "c": 1.0, "off": 0.0},
        {"a": 0.981, "b": 0.01, "c": 0.009, "off": 0.0},
    )
    assert balance.starved == ["c"]
    assert balance.dominant == "a"


def test_only_the_last_epoch_and_its_terms_count(tmp_path):
    pd.DataFrame(
        {
            "epoch": [0, 1, 1],
            "raw.forces": [1e9, 1.0, 3.0],
            "weight.forces": [1e9, 2.0, 2.0],
            "raw.esps": [1e9, None, None],
            "weight.esps": [1e9, None, None],
            "raw.dipole": [None, 2.0, 4.0],
            "weight.dipole": [None, 4.0, 4.0],
        }
    ).to_parquet(tmp_path / "breakdown.parquet")
    balance = last_epoch_balance(tmp_path)
    assert balance.weights == {"forces": 2.0, "dipole": 4.0}
    assert balance.shares == pytest.approx({"forces": 0.25, "dipole": 0.75})


@pytest.mark.parametrize("values", [[], [0.0], [float("nan")]])
def test_no_balance_where_there_is_no_total(tmp_path, values):
    n = len(values)
    pd.DataFrame({"epoch": [0] * n, "raw.forces": values, "weight.forces": [1.0] * n}).to_parquet(
        tmp_path / "breakdown.parquet"
    )
    assert last_epoch_balance(tmp_path) is None


def test_no_balance_where_there_is_no_table_or_a_damaged_one(tmp_path, make_trial):
    assert last_epoch_balance(tmp_path) is None
    path = make_trial(0) / "breakdown.parquet"
    for content in (path.read_bytes()[:-9], path.read_bytes()[:40], b"", b"PAR1"):
        path.write_bytes(content)
        assert last_epoch_balance(path.parent) is None
