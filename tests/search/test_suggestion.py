"""The parameters of a trial, and trials that had the same before."""

from __future__ import annotations

import optuna
from fixed_sampler import FixedSampler

from sweep.search.space import SearchSpace
from sweep.search.suggestion import describe, suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = SearchSpace.parse(
    {
        "loss.esps.weight": "tag(log, interval(0.1, 10))",
        "loss.esps": "choice(on, off)",
        "model.num_channels": "range(8, 32, 8)",
        "trainer.amsgrad": "choice(true, false)",
    },
    [],
)


def test_what_is_inside_a_term_is_drawn_only_if_it_is_on():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        params = suggest(trial, SPACE)
        assert params == trial.params
        assert ("loss.esps.weight" in params) == (params["loss.esps"] == "on")
        assert params["model.num_channels"] in (8, 16, 24, 32)
        seen.add(params["loss.esps"])
    assert seen == {"on", "off"}


def test_given_parameters_are_drawn_as_they_are():
    given = {
        "loss.esps": "on", "loss.esps.weight": 0.3, "model.num_channels": 16,
        "trainer.amsgrad": True,
    }  # fmt: skip
    study = optuna.create_study(sampler=FixedSampler(given))
    trial = study.ask({})
    assert suggest(trial, SPACE) == given
    study.tell(trial, 1.0)
    assert study.trials[0].params == given


def test_a_trial_that_was_begun_keeps_its_parameters():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    first = study.ask()
    drawn = suggest(first, SPACE)
    study.sampler = optuna.samplers.RandomSampler(99)
    assert suggest(optuna.trial.Trial(study, first._trial_id), SPACE) == drawn


def test_a_trial_in_a_line():
    params = {"loss.esps.weight": 0.123456, "loss.forces": "off", "train_schedule.0.lr": 1e-3}
    assert describe(None, params) == "esps=0.123 forces=off train_schedule.0.lr=0.001"
    assert describe("default", {"seed": 3}) == "default weights: seed=3"
