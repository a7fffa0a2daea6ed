"""Choices of the user's that must go together, or be refused by name."""

from __future__ import annotations

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.hydra_plugin.registration import register
from sweep.search.optimization import make_pruner, make_sampler
from sweep.search.space import SearchSpace


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.parametrize("kind", ["sampler", "pruner"])
def test_every_sampler_and_pruner_suits_every_experiment(experiment, kind):
    register()
    for option in options(f"hydra/sweeper/{kind}"):
        chosen = [f"+experiment={experiment}", f"hydra/sweeper/{kind}={option}"]
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = hydra_compose("config", chosen, return_hydra_config=True).hydra.sweeper
        make_pruner(cfg.pruner, n_epochs=27)
        space = SearchSpace.parse(OmegaConf.to_container(cfg.params), [])
        if option in ("grid", "brute_force"):
            with pytest.raises(InputError, match="has no end of values"):
                make_sampler(cfg.sampler, space, seed=0, number=0)
        else:
            make_sampler(cfg.sampler, space, seed=0, number=0)


@pytest.mark.parametrize(
    "key",
    ["heads.water_clusters.E0s", "objective.statistic", "search.balance_prior", "split_seed"],
)
def test_what_all_trials_share_is_not_searched(compose, key):
    space = SearchSpace.parse({key: "choice(a, b)"}, [])
    with pytest.raises(InputError, match=rf"{key}'\]: cannot be searched"):
        space.defaults(compose())


@pytest.mark.parametrize("key", ["sead", "trainer.batchsize", "train_schedule.0.rate"])
def test_an_added_key_is_no_way_past_the_schema(compose, key):
    with pytest.raises(InputError, match=key.split(".")[-1]):
        check_config(compose(f"+{key}=1"))


def test_a_stage_loss_that_is_a_number_is_refused(compose):
    with pytest.raises(InputError, match=r"train_schedule\.0\.loss.*got 3"):
        check_config(compose("train_schedule.0.loss=3"))
