"""``search=auto``: what is searched follows from the loss."""

import pytest

from sweep.errors import InputError
from sweep.search.automatic import automatic_params

LOSS = "loss=[energy_per_atom,forces,esps]"


def test_weights_around_the_configured_ones(load_config):
    cfg = load_config(LOSS, "search=auto", "loss.esps.weight=2", "loss.energy_per_atom.weight=1")
    assert automatic_params(cfg) == {
        "loss.energy_per_atom.weight": "tag(log, interval(0.01, 100.0))",
        "loss.esps.weight": "tag(log, interval(0.02, 200.0))",
    }


def test_the_reference_keeps_its_weight(load_config):
    cfg = load_config(LOSS, "search=auto", "search.reference=esps")
    assert set(automatic_params(cfg)) == {"loss.energy_per_atom.weight", "loss.forces.weight"}


def test_a_term_that_is_off_stays_off(load_config):
    cfg = load_config(LOSS, "search=auto", "loss.esps.weight=0")
    assert set(automatic_params(cfg)) == {"loss.energy_per_atom.weight"}


def test_shares_where_the_weights_move(load_config):
    cfg = load_config(LOSS, "search=auto", "weighting=gradient_shares", "weighting.shares.esps=3")
    assert automatic_params(cfg) == {
        "weighting.shares.energy_per_atom": "tag(log, interval(0.1, 10.0))",
        "weighting.shares.esps": "tag(log, interval(0.3, 30.0))",
    }


def test_stages_with_a_loss_of_their_own(load_config):
    cfg = load_config(
        "loss=[forces]", "search=auto", "schedule=two_stages",
        "train_schedule.1.loss={esps: {weight: 4.0}, forces: 1.0}",
    )  # fmt: skip
    assert automatic_params(cfg) == {
        "train_schedule.1.loss.esps.weight": "tag(log, interval(0.04, 400.0))"
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss=[forces]"], "search=auto: needs a loss of at least two terms; got forces"),
        ([LOSS, "search.auto=1"], "search.auto: must be above 1; got 1"),
        ([LOSS, "search.auto=5", "weighting=gradient_shares"], "search.auto: must be above 10"),
        ([LOSS, "weighting=geometric_mean"], "weighting=geometric_mean has no shares to search"),
    ],
)
def test_errors(load_config, overrides, message):
    with pytest.raises(InputError, match=message):
        automatic_params(load_config("search=auto", *overrides))
