"""Samplers and pruners by configuration, and what a user gets wrong. See also test_samplers."""

import optuna
import pytest
from omegaconf import OmegaConf

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.search.optimization import make_pruner, make_sampler
from sweep.search.space import SearchSpace
from sweep.study.storage import open_study

SWEEPER = CONF_DIR / "hydra" / "sweeper"
RANDOM = {"_target_": "optuna.samplers.RandomSampler"}
TPE = {"_target_": "optuna.samplers.TPESampler"}
SPACE = SearchSpace.parse({"loss.a.weight": "interval(0, 1)"}, [])


def sampler_of(cfg, seed=0, number=0):
    return make_sampler(OmegaConf.create(cfg), SPACE, seed=seed, number=number)


def make(kind, cfg):
    return sampler_of(cfg) if kind == "sampler" else make_pruner(OmegaConf.create(cfg), 27)


def draw(cfg, seed, number):
    study = optuna.create_study(sampler=sampler_of(cfg, seed, number))
    return study.ask().suggest_float("weight", 0, 1)


@pytest.mark.parametrize("cfg", [RANDOM, {**RANDOM, "seed": 5}])
def test_every_trial_draws_a_point_of_its_own(cfg):
    values = [draw(cfg, seed=1, number=number) for number in range(5)]
    assert len(set(values)) == 5
    assert [draw(cfg, seed=1, number=number) for number in range(5)] == values


def test_a_seed_of_the_sampler_itself_replaces_that_of_the_study():
    own = {**RANDOM, "seed": 5}
    assert draw(own, seed=1, number=3) == draw(own, seed=2, number=3)
    assert draw(own, seed=1, number=3) == draw(RANDOM, seed=5, number=3)
    assert draw(RANDOM, seed=1, number=3) != draw(RANDOM, seed=2, number=3)


def test_options_of_the_configuration_reach_the_sampler():
    assert sampler_of({**TPE, "n_startup_trials": 3})._n_startup_trials == 3
    cmaes = {"_target_": "optuna.samplers.CmaEsSampler", "consider_pruned_trials": False}
    space = SearchSpace.parse({"a.b": "interval(0, 1)", "a.c": "interval(0, 1)"}, [])
    made = make_sampler(OmegaConf.create(cmaes), space, seed=0, number=0)
    assert not made._consider_pruned_trials
    del cmaes["consider_pruned_trials"]
    made = make_sampler(OmegaConf.create(cmaes), space, seed=0, number=0)
    assert made._consider_pruned_trials
    # A pruned trial reports its score, which is no error of the forces.
    made = make_sampler(OmegaConf.create(cmaes), space, seed=0, number=0, minimize=["forces"])
    assert not made._consider_pruned_trials


@pytest.mark.parametrize("kind", ["sampler", "pruner"])
def test_an_experiment_can_be_given_any_other(kind, load_config):
    for path in (SWEEPER / kind).glob("*.yaml"):
        cfg = load_config(
            "+experiment=esp_weights", f"hydra/sweeper/{kind}={path.stem}", hydra=True
        ).hydra.sweeper[kind]
        assert cfg == OmegaConf.load(path)  # nothing is left of the experiment's own


@pytest.mark.parametrize(
    ("kind", "cfg", "culprit"),
    [
        ("sampler", {"_target_": "optuna.samplers.Genetic"}, "Genetic"),
        ("sampler", {"_target_": "no_such_package.Sampler"}, "no_such_package"),
        ("sampler", {**RANDOM, "temperature": 1}, "unknown option of RandomSampler 'temperature'"),
        ("sampler", {**TPE, "n_startup": 1}, "did you mean 'n_startup_trials'"),
        ("sampler", {"seed": 1}, "_target_"),
        ("sampler", {**RANDOM, "seed": -1}, "-1"),
        ("sampler", {**RANDOM, "seed": "first"}, "first"),
        ("pruner", {"_target_": "optuna.pruners.Median"}, "Median"),
        ("pruner", {"_target_": "optuna.pruners.MedianPruner", "n_warmup_steps": -1}, "-1"),
        ("pruner", {"_target_": "optuna.pruners.PercentilePruner"}, "percentile"),
    ],
)
def test_what_cannot_be_made_names_its_key_in_one_line(kind, cfg, culprit):
    with pytest.raises(InputError, match=rf"^hydra\.sweeper\.{kind}") as caught:
        make(kind, cfg)
    assert culprit in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_of_other_objectives_is_refused(tmp_path):
    open_study(tmp_path, "s", n_objectives=2)
    with pytest.raises(InputError, match=r"holds a study of 2 objectives.*has 1"):
        open_study(tmp_path, "s")
