"""A study as plain data: what a worker needs, in another process, without Hydra's composition."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf, open_dict

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.hydra_plugin.registration import register
from sweep.search.dimensions import to_distribution

IN_A_WORKER = """
import pickle, sys
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from sweep.config.resolvers import register_resolvers
from sweep.study.composition import Composer
from sweep.study.hydra_job import hydra_job
setup_globals()  # as a launcher does
register_resolvers()
spec = pickle.load(open(sys.argv[1], "rb"))
composer = Composer(spec.template, spec.space, spec.name)
cfg = composer.compose(spec.space.defaults(spec.base), "trials/0003", 3)
with hydra_job(cfg) as task_cfg:
    print(task_cfg.fit_name)
    print(task_cfg.cache_dir)
    print(task_cfg.heads.water_clusters.train_file)
    job = HydraConfig.get().job.num
print(spec.storage_url)
print(job)
print("torch" in sys.modules)
"""


@pytest.fixture
def spec_of(tmp_path, monkeypatch):
    """The spec of a command line, as the sweeper makes it."""
    monkeypatch.chdir(tmp_path)
    register()
    setup_globals()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF_DIR)))

    def make(*overrides):
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
        with open_dict(config.hydra):
            config.hydra.job.config_name = "config"
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=context, task_function=None, config=config
        )
        HydraConfig.instance().set_config(config)
        return sweeper.spec(list(config.hydra.overrides.task))

    yield make
    HydraConfig.instance().cfg = None


def test_a_worker_resolves_what_the_sweep_would(spec_of, tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_TEST_DB", "sqlite:///mine.db")
    monkeypatch.setenv("SWEEP_TEST_CACHE", "caches")
    spec = spec_of(
        "+experiment=smoke",
        "fit_name='${hydra:sweeper.study_name}-${now:%f}'",
        "cache_dir=${oc.env:SWEEP_TEST_CACHE}",
        "hydra.sweeper.storage=${oc.env:SWEEP_TEST_DB}",
    )
    fit_name = spec.template.fit_name
    path = tmp_path / "spec.pickle"
    path.write_bytes(pickle.dumps(spec))
    out = subprocess.run(
        [sys.executable, "-c", IN_A_WORKER, str(path)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "SWEEP_TEST_DB": "other"},
    ).stdout.splitlines()  # fmt: skip
    assert fit_name.startswith("smoke-")
    assert out[0] == fit_name  # of the time at which the sweep resolved it
    assert out[1] == "caches"
    assert out[2].endswith("water_clusters/train.xyz")
    assert out[3] == "sqlite:///mine.db"
    assert out[4] == "3"
    assert out[5] == "False"


@pytest.mark.parametrize("text", ["postgresql://me:s3cr3t@host/db", "${oc.env:SWEEP_TEST_DB}"])
def test_its_pickle_holds_no_password(spec_of, monkeypatch, text):
    monkeypatch.setenv("SWEEP_TEST_DB", "postgresql://me:s3cr3t@host/db")
    spec = spec_of("+experiment=smoke", f"hydra.sweeper.storage='{text}'")
    assert spec.storage_url == "postgresql://me:s3cr3t@host/db"
    assert b"s3cr3t" not in pickle.dumps(spec)
    assert b"s3cr3t" not in pickle.dumps(HydraConfig.instance().cfg)
    assert "s3cr3t" not in repr(spec)
    hydra = spec.template.hydra
    shown = "***" if "me:" in text else text
    assert shown in OmegaConf.to_yaml(hydra.sweeper, resolve=False)
    assert shown in OmegaConf.to_yaml(hydra.overrides, resolve=False)


def test_it_is_frozen_and_comes_back_equal(spec_of):
    spec = spec_of("+experiment=smoke", "objective.constraints.forces=1.5")
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert again.objectives.constraints == {"forces": 1.5}
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.n_trials = 3


def test_its_record_holds_the_space(spec_of):
    spec = spec_of("+experiment=smoke")
    record = spec.record()
    space = {key: to_distribution(dimension) for key, dimension in record.space.items()}
    assert space == spec.space.distributions
    assert record.name == "smoke"
    assert record.sampler.startswith("optuna.samplers.")
    assert record.pruner.startswith("optuna.pruners.")


def test_another_device_is_recorded_with_the_overrides(spec_of):
    spec = spec_of("+experiment=smoke")
    moved = spec.on_device("cuda")
    assert (spec.base.trainer.device, moved.base.trainer.device) == ("cpu", "cuda")
    assert moved.template.hydra.overrides.task[-1] == "trainer.device=cuda"
    assert OmegaConf.is_readonly(moved.template.hydra) == OmegaConf.is_readonly(spec.template.hydra)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("hydra.sweeper.sampler.n_startup=3", r"hydra\.sweeper\.sampler"),
        ("loss.esps.weight=interval(5,6)", r"hydra\.sweeper\.params\['loss\.esps\.weight'\]"),
    ],
)
def test_what_is_not_valid_is_found_before_anything_is_opened(spec_of, override, key, tmp_path):
    with pytest.raises(InputError, match=key):
        spec_of("+experiment=smoke", f"+{override}" if "startup" in override else override).check()
    assert not (tmp_path / "outputs").exists()
