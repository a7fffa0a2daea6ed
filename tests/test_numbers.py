"""Numbers and names as people read them."""

import math

import pytest

from sweep.numbers import (
    above,
    change,
    count,
    joined,
    number,
    percent,
    percent_range,
    sentence,
    signed,
    with_change,
)
from sweep.report.names import metric_of, short_names, weight_term


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.051400, "0.0514"), (1.0, "1.00"), (99.96, "100"), (0.99996, "1.00"), (123456.7, "123457"),
     (169.6, "170"), (30363.25, "30363"),
     (-0.5, "-0.500"), (0.0, "0"), (1.2e-7, "1.20e-07"), (2.5e8, "2.50e+08"), (math.inf, "inf")],
)  # fmt: skip
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [(1.2, 1.05, "1.20"), (1.0004, 1, "1.0004"), (1.06, 1.05, "1.06"), (868.04, 868, "868.04"),
     (0.5, 0.5, "0.5"), (math.nextafter(1, 2), 1, "1.0000000000000002"), (math.inf, 1, "inf"),
     (0.0, -1, "0")],
)  # fmt: skip
def test_a_number_above_a_limit_has_the_digits_that_show_it(value, limit, text):
    assert above(value, limit) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.834, "83 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (0.002, "0.2 %"), (0.0004, "<0.1 %"),
     (0.0, "0 %"), (1.0, "100 %")],
)  # fmt: skip
def test_percent(share, text):
    assert percent(share) == text


def test_changes_and_ranges():
    assert [change(v) for v in (-0.693, 0.152, 0.021, 0.0, -0.0001)] == [
        "−69 %", "+15 %", "+2.1 %", "±0 %", "±0 %",
    ]  # fmt: skip
    assert percent_range(0.2, 0.35) == "20 to 35 %"
    assert percent_range(0.2, 0.2) == "20 %"
    assert count(1, "trial") == "one trial"
    assert count(5, "trial") == "five trials"
    assert count(12, "trial") == "12 trials"
    assert signed(-0.456) == "−0.46"
    assert sentence("forces got") == "Forces got"


def test_short_names_are_unique():
    keys = [
        "loss.esps.weight", "train_schedule.1.loss.esps.weight", "train_schedule.0.lr",
        "train_schedule.1.loss.esps", "loss.forces_huber.huber_delta", "trainer.lr",
    ]  # fmt: skip
    assert list(short_names(keys).values()) == [
        "esps", "train_schedule.1.loss.esps.weight", "lr, stage 0", "train_schedule.1.loss.esps",
        "forces_huber.huber_delta", "trainer.lr",
    ]  # fmt: skip
    assert short_names(keys[:2]) == {keys[0]: "esps", keys[1]: "esps, stage 1"}


def test_which_keys_are_weights():
    assert weight_term("loss.esps.weight") == ("esps", None)
    assert weight_term("train_schedule.1.loss.esps") == ("esps", "1")
    assert weight_term("train_schedule.1.loss.esps.weight") == ("esps", "1")
    for key in ("trainer.lr", "loss.esps.scale", "train_schedule.0.lr", "loss.esps"):
        assert weight_term(key) is None


def test_metrics():
    assert metric_of("forces").with_unit == "forces (meV/Å)"
    assert metric_of("score").with_unit == "score"


def test_a_value_and_its_change():
    assert with_change("40.0", -0.2) == "40.0 (−20 %)"
    assert with_change("40.0 ± 1.2", 0.5, narrow=True) == "40.0 ± 1.2 +50%"
    assert with_change("40.0", None) == with_change("40.0", math.nan) == "40.0"


def test_words_joined():
    assert [joined(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
