"""Advice from the balance speaks where the numbers give reason to, with them, and only there."""

import pandas as pd
import pytest

from sweep.report.advice import terms as advice_terms
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources


def test_dominating_terms(study, said, numbers):
    """As in the case for which this tool is made: one term drowns the others."""
    c = study(
        ({}, {"forces": 0.2, "energy": 0.2}),
        ({"esps": 1000.0}, {"forces": 0.23, "energy": 0.9}),
        ({"esps": 2.0}, {"forces": 0.1, "energy": 0.1}),
        ({"esps": 3.0}, {"forces": 0.1, "energy": 0.11}),
    )
    (text,) = said(advice_terms.dominating_terms, c)
    share = c.balance("1").shares["esps"]
    shares = [c.balance(label).shares["esps"] for label in ("2", "3")]
    assert text.startswith("esps took")
    took, trial, worse, low, high = numbers(text)
    assert (took, trial, worse) == (pytest.approx(share, abs=0.005), 1, 3.5)
    assert (low / 100, high) == pytest.approx((min(shares), max(shares)), abs=0.005)


def test_a_term_that_dominates_the_default(study, said):
    c = study(
        ({"esps": 1000.0}, {"forces": 0.2}), ({}, {"forces": 0.1}), ({}, {"forces": 0.1})
    )  # fmt: skip
    (text,) = said(advice_terms.dominating_terms, c)
    assert "of the loss in trial 0 (the default weights) and its score is 2.00 times" in text


def test_no_word_of_a_term_where_nothing_is_compared(study, said):
    """The best trial gives that term as much, or lacks it."""
    c = study(({"esps": 1000.0}, {"forces": 0.2}), ({"esps": 900.0}, {"forces": 0.1}))
    assert said(advice_terms.dominating_terms, c) == []


def test_gradients_of_a_single_epoch_are_no_result(study, said):
    """As of short trainings, which measure them before they begin."""
    study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    c = study(*[({}, {"forces": e}, {"n_epochs": 1}) for e in (0.2, 0.1)])
    assert c.gradients.empty
    assert c.conflicts.empty
    for rule in (advice_terms.conflicts, advice_terms.parallel_terms):
        assert said(rule, set_cosine(c, -0.9)) == []
    (text,) = said(advice_terms.early_gradients, c)
    assert "trial 0" in text
    assert "trial 1" in text
    assert "trainer.balance_interval=1" in text
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    assert said(advice_terms.early_gradients, c) == []


def test_no_word_of_a_term_that_dominates_the_best(study, said):
    c = study(({}, {"forces": 0.2}), ({"esps": 1000.0}, {"forces": 0.1}))
    assert said(advice_terms.dominating_terms, c) == []


def set_gradients(c, norms):
    """Write the last measured gradient norms of the best trial."""
    folder = c.best.folder
    data = pd.read_parquet(folder / "balance.parquet")
    for name, norm in norms.items():
        data.loc[data["term"] == name, "weighted_norm"] = norm
    data.to_parquet(folder / "balance.parquet")
    return compare(read_sources([folder.parents[1]])[0])


def test_starved_terms_that_training_does_not_see_or_feels_all_the_same(study, said, numbers):
    few = {"esps": 1e-4}
    c = study((few, {"forces": 0.4}), (few, {"forces": 0.3}), (few, {"forces": 0.1}))
    (text,) = said(advice_terms.starved_terms, set_gradients(c, {"forces": 1.0, "esps": 0.001}))
    assert text.startswith("esps")
    assert numbers(text) == [0.001, 0.001]
    assert "hardly sees it" in text
    (text,) = said(advice_terms.starved_terms, set_gradients(c, {"forces": 3.0, "esps": 1.0}))
    assert numbers(text) == [0.001, 0.25]
    assert "training feels it" in text


def test_terms_are_not_starved_if_a_good_trial_feeds_them(study, said):
    few = {"esps": 1e-4}
    c = study(
        (few, {"forces": 0.4}), ({}, {"forces": 0.11}), (few, {"forces": 0.1}), ({}, {"forces": 9})
    )
    assert said(advice_terms.starved_terms, c) == []
    off = {"esps": 0.0}
    c = study((off, {"forces": 0.4}), (off, {"forces": 0.2}), (off, {"forces": 0.1}))
    assert said(advice_terms.starved_terms, c) == []


def test_raised_terms(study, said):
    c = study(({"esps": 1e-4}, {"forces": 0.4}), ({}, {"forces": 0.1}))
    (text,) = said(advice_terms.raised_terms, c)
    share = f"{100 * c.balance('1').shares['esps']:.0f} %"
    assert "starve esps (<0.1 %" in text
    assert share in text
    assert said(advice_terms.raised_terms, study(({}, {"forces": 0.4}), ({}, {"forces": 1}))) == []


def set_cosine(c, value):
    path = c.best.folder / "balance.parquet"
    data = pd.read_parquet(path)
    data.loc[data["term"] == "forces", "cosine.esps"] = value
    data.to_parquet(path)
    return compare(read_sources([c.best.folder.parents[1]])[0])


def test_conflicts_and_parallel_terms(study, said, numbers):
    c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.1}))
    (text,) = said(advice_terms.conflicts, set_cosine(c, -0.456))
    assert "forces against esps" in text
    assert numbers(text) == [1, 4, -0.46]
    (text,) = said(advice_terms.parallel_terms, set_cosine(c, 0.97))
    assert "forces and esps" in text
    assert numbers(text) == [1, 4, 0.97]
    for rule in (advice_terms.conflicts, advice_terms.parallel_terms):
        assert said(rule, set_cosine(c, 0.1)) == []
        (c.best.folder / "balance.parquet").rename(c.best.folder / "kept")
        assert said(rule, compare(read_sources([c.best.folder.parents[1]])[0])) == []
        (c.best.folder / "kept").rename(c.best.folder / "balance.parquet")
