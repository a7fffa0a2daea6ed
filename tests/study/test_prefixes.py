"""First stages that trials have in common are trained once, and nobody could tell."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweep.config.checks import stages_of
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.files import read_json
from sweep.records import Trial
from sweep.records.objective import Objective
from sweep.records.prefix import Prefix
from sweep.records.writer import TrialWriter
from sweep.search.automatic import automatic_params
from sweep.search.last_stage import for_last_stage, of_its_own
from sweep.search.space import SearchSpace
from sweep.study.composition import Composer
from sweep.study.phase import search_phase
from sweep.study.prefixes import Prefixes, n_shared_stages
from sweep.study.references import enqueue_references
from sweep.study.runner import TrialRunner
from sweep.study.spec import StudySpec, without_hydra
from sweep.training import checkpoint
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

TWO = [
    "schedule=two_stages", "train_schedule.0.end=1", "train_schedule.1.start=2",
    "train_schedule.1.end=2", "loss=[energy_per_atom,forces]", "search=auto",
    "search.stages=last",
]  # fmt: skip
SHARES = [*TWO, "weighting=gradient_shares", "weighting.interval=2"]
QUIET = SimpleNamespace(
    message=lambda *_: None, epoch=lambda *_: None,
    trial_started=lambda *_: None, trial_ended=lambda *_: None,
)  # fmt: skip


def never() -> bool:
    return False


def make_spec(load_config, folder: Path, *overrides: str, params=None, n_trials=5) -> StudySpec:
    """As the sweeper makes it."""
    cfg = load_config(*overrides, hydra=True)
    space = SearchSpace.parse(params or automatic_params(cfg), [])
    if cfg.search.stages == "last":
        cfg = load_config(*overrides, *of_its_own(cfg), hydra=True)
        space = for_last_stage(space, cfg)
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.mode = "MULTIRUN"
        cfg.hydra.sweep.dir = str(folder)
        cfg.hydra.job.num = 0
        cfg.hydra.job.id = "0"
    return StudySpec(
        name="study", folder=folder, space=space, template=cfg,
        objective=Objective.read(OmegaConf.to_container(cfg.objective, resolve=True)),
        confirm=None, sampler=OmegaConf.create({"_target_": "optuna.samplers.RandomSampler"}),
        pruner=OmegaConf.create({"_target_": "optuna.pruners.NopPruner"}), storage=None,
        n_trials=n_trials, max_failure_rate=0.0,
    )  # fmt: skip


def train(spec: StudySpec, trainer: OwnTrainer) -> list:
    """Train what is left of a study; returns its trials as Optuna has them."""
    queue = spec.open()
    enqueue_references(spec, queue)
    runner = TrialRunner(
        spec, search_phase(spec, queue), trainer=trainer, progress=QUIET, stopped=never
    )
    while (handle := queue.claim(never)) is not None:
        runner.run(handle)
        handle.lease.release()
    return queue.trials()


def configuration(spec: StudySpec, trial: Trial) -> DictConfig:
    """What a trial of the sampler trains."""
    composer = Composer(spec.template, spec.space, spec.name)
    return without_hydra(composer.compose(trial.params, "whole", trial.number))


def same_records(one: Path, two: Path) -> None:
    for name in ("breakdown", "metrics", "balance"):
        tables = [pd.read_parquet(folder / f"{name}.parquet") for folder in (one, two)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    logs = [
        [line.split(" ", 2)[2] for line in next(f.glob("logs/*")).read_text().splitlines()]
        for f in (one, two)
    ]
    assert logs[0] == logs[1]
    first, second = (checkpoint.load(folder / "checkpoint.pt")["member"] for folder in (one, two))
    for part in ("model", "weighting"):
        for key, value in (first[part] or {}).items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, second[part][key])
    kept = [read_json(folder / "trial.json") for folder in (one, two)]
    for key in ("score", "epoch", "metrics", "stages", "epochs_trained"):
        assert kept[0][key] == kept[1][key]


@pytest.fixture(scope="module")
def study(load_config, tiny_overrides, tmp_path_factory):
    """A study of the shares of the last stage, and its trials."""
    folder = tmp_path_factory.mktemp("prefixes") / "study"
    spec = make_spec(load_config, folder, *tiny_overrides, *SHARES)
    trainer = OwnTrainer(load(spec.base.heads, split_seed=0))
    return spec, trainer, train(spec, trainer)


def test_the_first_stages_are_trained_once(study):
    spec, _, trials = study
    records = [Trial.read(spec.folder / "trials" / f"{trial.number:04d}") for trial in trials]
    assert [trial.role for trial in records] == ["default", "balanced", "static", None, None]
    assert [trial.prefix_epochs for trial in records] == [0, 0, 0, 2, 2]
    note = records[3].details["prefix"]
    assert (note["trial"], note["stages"]) == ("trials/0001", 1)
    assert (spec.folder / note["file"]).exists()
    assert [list(trial.intermediate_values) for trial in trials] == [[0, 1, 2]] * 5
    scores = records[3].metrics().query("split == 'valid'")["score"].cummin().tolist()
    assert list(trials[3].intermediate_values.values()) == scores
    first, second = (trial.steps().query("stage == 0") for trial in records[3:])
    pd.testing.assert_frame_equal(first, second)
    last = [trial.steps().query("stage == 1")["total"].to_numpy() for trial in records[3:]]
    assert not np.allclose(*last)  # which alone is searched
    shares = [trial.stages[1].shares for trial in records[3:]]
    assert shares[0] != shares[1]
    assert records[3].stages[0].shares is None


def test_the_numbers_are_those_of_a_whole_training(study, tmp_path):
    spec, trainer, _ = study
    folder = spec.folder / "trials" / "0003"
    cfg = configuration(spec, Trial.read(folder))
    writer = TrialWriter(tmp_path, {"number": 3})
    train_trial(trainer, cfg, stages_of(cfg), writer, lambda _: Decision.CONTINUE)
    same_records(tmp_path, folder)


def test_trials_that_end_early_and_are_not_always_evaluated(load_config, tiny_overrides, tmp_path):
    """First stages in common, an end by patience, and epochs without a score."""
    overrides = [
        *TWO, "train_schedule.0.end=2", "train_schedule.1.start=3", "train_schedule.1.end=11",
        "train_schedule.1.lr=1e-30", "trainer.ema=false", "trainer.patience=1",
        "trainer.eval_interval=2",
    ]  # fmt: skip
    spec = make_spec(load_config, tmp_path / "study", *tiny_overrides, *overrides)
    trainer = OwnTrainer(load(spec.base.heads, split_seed=0))
    trials = train(spec, trainer)
    evaluated = [0, 2, 4, 6]
    assert [str(trial.state.name) for trial in trials] == ["COMPLETE"] * 5
    for trial in (trials[0], *trials[3:]):  # of the others the weights move
        assert list(trial.intermediate_values) == evaluated
        record = Trial.read(spec.folder / "trials" / f"{trial.number:04d}")
        assert "after epoch 6 of 11" in record.details["ended_early"]
        assert record.epochs_trained == 7
    folder = spec.folder / "trials" / "0004"
    assert Trial.read(folder).prefix_epochs == 3
    cfg = configuration(spec, Trial.read(folder))
    writer = TrialWriter(tmp_path / "whole", {"number": 4})
    train_trial(trainer, cfg, stages_of(cfg), writer, lambda _: Decision.CONTINUE)
    same_records(tmp_path / "whole", folder)


def test_a_damaged_file_is_trained_again(study, tmp_path):
    spec, trainer, _ = study
    folder = tmp_path / "study"
    shutil.copytree(spec.folder, folder)
    cfg = configuration(spec, Trial.read(folder / "trials" / "0004"))
    prefix = Prefixes(spec, spec.open()).of(cfg, stages_of(cfg))
    mine = Prefix(folder / "prefixes" / prefix.path.name, prefix.n_stages, prefix.n_epochs)
    mine.path.write_bytes(mine.path.read_bytes()[:-1000])
    assert not mine.is_there()
    writer = TrialWriter(tmp_path / "trials" / "0004", {"number": 4})
    train_trial(trainer, cfg, stages_of(cfg), writer, lambda _: Decision.CONTINUE, mine)
    same_records(tmp_path / "trials" / "0004", folder / "trials" / "0004")
    assert mine.note()["trial"] == "trials/0004"
    assert Trial.read(writer.folder).prefix_epochs == 0


@pytest.mark.parametrize(
    ("overrides", "params", "n_stages"),
    [
        (TWO, None, 1),
        (TWO, {"train_schedule.1.lr": "interval(0.001, 0.01)"}, 1),
        ([*TWO, "search.stages=all"], {"train_schedule.1.lr": "choice(0.001, 0.01)"}, 1),
        ([*TWO, "search.stages=all"], {"seed": "choice(0, 1)"}, 0),
    ],
)
def test_what_nothing_that_is_searched_changes(load_config, tmp_path, overrides, params, n_stages):
    spec = make_spec(load_config, tmp_path, *overrides, params=params)
    assert n_shared_stages(spec) == n_stages


def test_a_key_of_another_stage_is_refused(load_config, tmp_path):
    with pytest.raises(InputError, match=r"'seed'\]: is not of the last stage, which alone is"):
        make_spec(load_config, tmp_path, *TWO, params={"seed": "choice(0, 1)"})
    one = [*TWO[4:], "schedule=one_stage"]
    with pytest.raises(InputError, match=r"search.stages=last: needs a train_schedule of at least"):
        make_spec(load_config, tmp_path, *one)


def test_only_one_trial_trains_them(tmp_path):
    """The others wait as long as it is at work, and one takes its place when it ends before."""
    at_work, looks = {7}, []

    def wait(stopped):
        looks.append(len(at_work))
        if len(looks) == 2:
            at_work.clear()
        return stopped()

    queue = SimpleNamespace(
        lock_path=tmp_path / "locks" / "queue.lock", wait=wait, is_at_work=lambda n: n in at_work
    )
    prefixes = Prefixes(SimpleNamespace(), queue)
    prefix = Prefix(tmp_path / "prefixes" / "a.zip", 1, 2)
    prefixes.wait(prefix, 7, never)
    assert looks == []
    prefixes.wait(prefix, 8, never)
    assert len(looks) == 2
    at_work.add(8)
    prefixes.wait(prefix, 9, lambda: True)
    assert len(looks) == 3


def test_a_file_that_was_not_put_in_place_whole(tmp_path):
    """A kill while the first stages are put into a folder: the checkpoint is not there yet."""
    for name in ("metrics.parquet", "breakdown.parquet", "best.pt", "checkpoint.pt"):
        path = tmp_path / "trials" / "0001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    prefix = Prefix(tmp_path / "prefixes" / "a.zip", 1, 2)
    prefix.save(tmp_path / "trials" / "0001", lambda: None)
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prefix.unpack(tmp_path / "trials" / "0002", check)
    assert not (tmp_path / "trials" / "0002" / "checkpoint.pt").exists()
    prefix.unpack(tmp_path / "trials" / "0002", lambda: None)
    assert (tmp_path / "trials" / "0002" / "checkpoint.pt").read_text() == "checkpoint.pt"
