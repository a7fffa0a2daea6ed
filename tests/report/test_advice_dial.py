"""What a share buys, and which terms could go: said where the trials can tell."""

import numpy as np
import pytest

from sweep.records import Dimension
from sweep.records.objective import Objective
from sweep.records.study_record import StudyRecord
from sweep.report.advice import dial
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources

SHARE = "weighting.shares.{}".format


@pytest.fixture
def searched(make_two_stage_trial, tmp_path):
    """A search of the shares of forces and esps, whose errors are powers of them and noise."""

    def make(forces=-0.3, energy=0.2, noise=0.0, n=10, *, off=None):
        StudyRecord(
            "mine", Objective(("energy", "forces")),
            {SHARE(t): Dimension("float", 0.1, 10.0, log=True) for t in ("forces", "esps")},
            {f"default {SHARE(t)}": 1.0 for t in ("forces", "esps")},
        ).write(tmp_path / "mine")  # fmt: skip
        rng = np.random.default_rng(3)
        for number in range(n):
            share, other = 10 ** (2 * ((3 * number) % n) / n - 1), 10 ** rng.uniform(-1, 1)
            scatter = np.exp(noise * rng.normal(size=2))
            errors = {"energy": 0.01 * share**energy, "forces": 0.1 * share**forces}
            errors = {k: float(v * s) for (k, v), s in zip(errors.items(), scatter, strict=True)}
            weights = {"forces": 1.0, "esps": 0.0 if number == off else 1.0, "dipole": 1.0}
            make_two_stage_trial(
                number, weights, errors, role=None if number else "default",
                params={SHARE("forces"): share, SHARE("esps"): other},
            )  # fmt: skip
        return compare(read_sources([tmp_path / "mine"])[0])

    return make


def test_what_a_share_buys_and_costs(searched, said):
    c = searched()
    (text,) = said(dial.what_a_share_buys, c)
    best = c.value(c.source.label(c.best), f"param.{SHARE('forces')}")
    assert text.startswith(f"What 10 trials say of the dial, from trial {c.best.number} on: ")
    assert f"energy −13 %: {SHARE('forces')}={best / 2:.3g}"[:40] in text
    assert "at score +19 % and forces +23 %" in text
    assert "esps" not in text  # which does nothing


@pytest.mark.parametrize(
    "options", [{"noise": 3.0}, {"n": 6}, {"forces": 0.0, "energy": 0.0, "noise": 0.01}]
)
def test_nothing_is_said_where_the_trials_do_not_tell(searched, said, options):
    assert said(dial.what_a_share_buys, searched(**options)) == []


def test_a_term_that_was_turned_down_at_no_cost(searched, said):
    (text,) = said(dial.terms_that_can_go, searched(0.0, 0.0, 0.001))
    assert text.startswith("At no cost beyond the noise (5.0 %, taken for the spread of the seeds)")
    assert "esps (weighting.shares.esps from " in text


def test_a_trial_that_did_without_a_term(searched, said):
    (text,) = said(dial.terms_that_can_go, searched(0.0, 0.0, 0.02, 5, off=3))
    assert "could go: esps (trial 3 trained without it)" in text


def test_nobody_can_tell(searched, said):
    (text,) = said(dial.terms_that_can_go, searched(noise=3.0))
    assert "cannot be told from these trials" in text
    assert "=choice(on,off)'" in text
