"""A trial's configuration is the one that Hydra would compose from its overrides."""

from __future__ import annotations

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweep.config.stages import CONF_DIR
from sweep.hydra_plugin.registration import register
from sweep.search.space import SearchSpace
from sweep.study.composition import Composer
from sweep.study.spec import without_hydra

FIXED = ["seed=3", "loss=[energy_per_atom,forces,esps]", "train_schedule.0.end=4"]


@pytest.fixture
def load():
    """Compose as the sweeper does: with the ``hydra`` node."""
    register()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF_DIR)))

    def compose(overrides):
        return loader.load_configuration("config", overrides, run_mode=RunMode.MULTIRUN)

    return compose


def composer(load, **params) -> Composer:
    return Composer(load(FIXED), SearchSpace.parse(params, []), "study")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("loss.forces.weight", "interval(1, 1000)", 12.5),
        ("loss.esps", "choice(on, off)", "off"),
        ("loss.esps", "choice(on, off)", "on"),
        ("train_schedule.0.lr", "interval(0, 1)", 0.025),
        ("train_schedule.0.name", r"choice(stage1, 'it\'s')", "it's"),
        ("trainer.amsgrad", "choice(true, false)", False),
        ("model.num_channels", "range(4, 64)", 7),
        ("model.gate", "choice(silu, tanh)", "tanh"),
    ],
)
def test_setting_values_gives_what_hydra_composes(load, key, text, value):
    cfg = composer(load, **{key: text}).compose({key: value}, "trials/0007", 7)
    overrides = list(cfg.hydra.overrides.task)
    assert overrides[: len(FIXED)] == FIXED
    assert without_hydra(load(overrides)) == without_hydra(cfg)


def test_an_interpolation_follows_the_value_that_it_names(load):
    FIXED_LR = [*FIXED, "schedule=two_stages", "train_schedule.1.lr=${train_schedule.0.lr}"]
    space = SearchSpace.parse({"train_schedule.0.lr": "interval(0, 1)"}, [])
    cfg = Composer(load(FIXED_LR), space, "s").compose({"train_schedule.0.lr": 0.5}, "t", 0)
    assert cfg.train_schedule["1"].lr == 0.5


def test_the_job_is_named_and_has_its_folder(load):
    params = {"loss.forces.weight": 2.0}
    make = composer(load, **{"loss.forces.weight": "interval(1, 9)"})
    cfg = make.compose(params, "confirm/0007-seed5", 2, {"seed": 5})
    assert cfg.hydra.sweep.subdir == "confirm/0007-seed5"
    assert (cfg.hydra.job.num, cfg.hydra.job.id) == (2, "study/confirm/0007-seed5")
    assert list(cfg.hydra.overrides.task) == [*FIXED, "loss.forces.weight=2.0", "seed=5"]
    assert "loss.forces.weight=2.0" in cfg.hydra.job.override_dirname
    assert cfg.seed == 5


def test_trials_do_not_see_each_other(load):
    make = composer(load, **{"loss.forces.weight": "interval(1, 9)"})
    first = make.compose({"loss.forces.weight": 2.0}, "a", 0)
    second = make.compose({"loss.forces.weight": 3.0}, "b", 1)
    assert (first.loss.forces.weight, second.loss.forces.weight) == (2.0, 3.0)
    assert OmegaConf.to_container(first.hydra.overrides.task) != OmegaConf.to_container(
        second.hydra.overrides.task
    )


def test_a_value_that_does_not_fit_its_key_is_refused(load):
    make = composer(load, **{"model.num_channels": "choice(4, 8)", "seed": "range(0, 4)"})
    with pytest.raises(OmegaConfBaseException):
        make.compose({"seed": "first"}, "a", 0)
