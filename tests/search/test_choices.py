"""Choices of the user's that must go together, or be refused by name."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.search.automatic import automatic_params
from sweep.search.optimization import make_pruner, make_sampler
from sweep.search.space import SearchSpace


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def settings(kind: str) -> dict[str, DictConfig]:
    folder = CONF_DIR / "hydra" / "sweeper" / kind
    return {path.stem: OmegaConf.load(path) for path in sorted(folder.glob("*.yaml"))}


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_sampler_and_pruner_suits_every_experiment(experiment, load_config):
    # That `hydra/sweeper/sampler=NAME` replaces all of an experiment's own is tested in
    # test_optimization; composing each pair here would take a minute.
    whole = load_config(f"+experiment={experiment}", hydra=True)
    automatic = automatic_params(whole) if whole.search.auto else {}
    params = OmegaConf.to_container(whole.hydra.sweeper.params)
    space = SearchSpace.parse({**automatic, **params}, [])
    for cfg in settings("pruner").values():
        make_pruner(cfg, n_epochs=27)
    for name, cfg in settings("sampler").items():
        if name in ("grid", "brute_force"):
            with pytest.raises(InputError, match="has no end of values"):
                make_sampler(cfg, space, seed=0, number=0)
        else:
            make_sampler(cfg, space, seed=0, number=0)


@pytest.mark.parametrize(
    "key",
    ["heads.water_clusters.E0s", "objective.statistic", "search.confirm.length", "split_seed"],
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
