"""A trial's ``.hydra`` folder and ``${hydra:...}`` are those that Hydra itself would make."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import OmegaConf, open_dict, read_write

from sweep.search.space import SearchSpace
from sweep.study.composition import Composer
from sweep.study.hydra_job import hydra_job

# Some would be read as something else without quotes.
TEXTS = [
    "on", "No", "1e5", "12", "nan", "1_000", "null", "0x10", "", " ", "a: b", "Å", "#", "-", "~",
    "'", '"', "two\nlines", "tag(log, interval(0.1, 10))", "word " * 40, "2026-11-22", "1:30",
]  # fmt: skip


class _NoCallbacks:
    def __getattr__(self, name):
        return lambda **_: None


def test_a_job_is_recorded_as_by_hydra(tmp_path, monkeypatch, load_config):
    monkeypatch.chdir(tmp_path)
    setup_globals()
    template = load_config("+experiment=smoke", hydra=True)
    with read_write(template), open_dict(template):
        template.hydra.mode = "MULTIRUN"
        template.hydra.sweep.dir = "study"
        template.fit_name = "${hydra:runtime.output_dir}"
        template.hydra.runtime.output_dir = "elsewhere"
        template.hydra.overrides.task = TEXTS
    space = SearchSpace.parse({"loss.esps.weight": "tag(log, interval(0.1, 10))"}, [])
    cfg = Composer(template, space, "study").compose({"loss.esps.weight": 2.5}, "trials/0003", 3)
    reference = copy.deepcopy(cfg)
    seen = {}

    def task(task_cfg):
        seen["hydra"] = task_cfg.fit_name, HydraConfig.get().job.num, "hydra" in task_cfg

    HydraConfig.instance().cfg = None
    context = HydraContext(config_loader=None, callbacks=_NoCallbacks())
    run_job(task, reference, "hydra.sweep.dir", "hydra.sweep.subdir", context, False)
    folder = Path("study/trials/0003/.hydra")
    theirs = {path.name: OmegaConf.load(path) for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()

    with hydra_job(cfg) as task_cfg:
        ours = task_cfg.fit_name, HydraConfig.get().job.num, "hydra" in task_cfg
    assert ours == seen["hydra"] == (str(tmp_path / "study/trials/0003"), 3, False)
    assert {path.name: OmegaConf.load(path) for path in folder.iterdir()} == theirs
    assert theirs["overrides.yaml"][: len(TEXTS)] == TEXTS
    assert set(theirs) == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert HydraConfig.instance().cfg is None


def test_a_job_that_is_killed_while_it_writes_leaves_whole_files(
    tmp_path, monkeypatch, load_config
):
    template = load_config("+experiment=smoke", hydra=True)
    with read_write(template), open_dict(template):
        template.hydra.mode = "MULTIRUN"
        template.hydra.sweep.dir = str(tmp_path)
    space = SearchSpace.parse({"loss.esps.weight": "tag(log, interval(0.1, 10))"}, [])
    composer = Composer(template, space, "study")

    def begin(weight):
        with hydra_job(composer.compose({"loss.esps.weight": weight}, "trials/0003", 3)):
            pass

    def killed(*_):
        raise SystemExit

    begin(2.5)
    folder = tmp_path / "trials" / "0003" / ".hydra"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    monkeypatch.setattr("sweep.files.os.replace", killed)
    with pytest.raises(SystemExit):
        begin(7.5)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
