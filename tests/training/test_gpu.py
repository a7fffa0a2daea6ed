"""Trainings on the GPU: those of the CPU, without waiting for the device in a step."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from devices import DEVICES, need, no_synchronisation
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from losses import GradientShares, WeightedLoss
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data.dataset import load
from sweep.errors import TrainingError
from sweep.records.writer import TrialWriter
from sweep.training.job import train_trial
from sweep.training.optimization import Optimization
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

SHORT = ["train_schedule.0.end=2", "loss=[energy_per_atom,forces,atomic_multipoles,esps]"]
MODELS = ["local_charges_small", "polar_small"]


@pytest.fixture
def trainer_of(compose):
    def make(device, *overrides):
        need(device)
        cfg = compose(*SHORT, f"trainer.device={device}", *overrides)
        return OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed)), cfg

    return make


def train(trainer, cfg, folder, *, stop_after=None):
    def after_epoch(report):
        return Decision.STOP if report.epoch == stop_after else Decision.CONTINUE

    return train_trial(trainer, cfg, check_config(cfg), TrialWriter(folder, {}), after_epoch)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weighting", ["fixed", "gradient_shares"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_waits_for_nothing(trainer_of, device, model, weighting):
    loss = "loss=[energy_per_atom,forces]" if model == "polar_small" else SHORT[1]
    trainer, cfg = trainer_of(device, f"model={model}", loss)
    (stage,) = check_config(cfg)
    setup = trainer.setup(cfg)
    terms = WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype)
    moving = None
    if weighting != "fixed":
        moving = GradientShares(names=terms.names, interval=2, device=setup.device)
    optimization = Optimization(setup.model, cfg.trainer, replace(stage, lr=1e-3), moving)
    batches = list(setup.batches("train"))
    for ref, periodic in batches[:2]:  # what is built once may wait
        optimization.step(terms, ref, periodic=periodic, stress=False)
    with no_synchronisation(device):
        for ref, periodic in batches[:2]:
            step = optimization.step(terms, ref, periodic=periodic, stress=False)
    assert step.raw.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_is_that_of_the_cpu(trainer_of, tmp_path, device):
    """Its first steps to rounding, its end alike."""
    tables = []
    for where in ("cpu", device):
        trainer, cfg = trainer_of(where, "trainer.default_dtype=float64")
        result = train(trainer, cfg, tmp_path / where)
        tables.append((pd.read_parquet(tmp_path / where / "breakdown.parquet"), result.score))
    (expected, score), (own, own_score) = tables
    first = [c for c in expected if c.startswith("raw.")]
    pd.testing.assert_frame_equal(own[first].head(2), expected[first].head(2), rtol=1e-8)
    assert own_score == pytest.approx(score, rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_goes_to_the_other_device_and_back(trainer_of, tmp_path, device):
    for where, stop_after in ((device, 0), ("cpu", 1), (device, None)):
        trainer, cfg = trainer_of(where, "trainer.default_dtype=float64")
        result = train(trainer, cfg, tmp_path, stop_after=stop_after)
    assert result.state == "COMPLETE"
    assert len(pd.read_parquet(tmp_path / "metrics.parquet").query("split == 'valid'")) == 3


@pytest.mark.gpu
@pytest.mark.parametrize("experiment", sorted(p.stem for p in (CONF_DIR / "experiment").glob("*")))
def test_every_shipped_experiment_trains_as_on_the_cpu(experiment, tmp_path):
    need("cuda")
    scores = []
    for device in ("cpu", "cuda"):
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = hydra_compose(
                "config",
                [f"+experiment={experiment}", f"trainer.device={device}",
                 "trainer.default_dtype=float64"],
            )  # fmt: skip
        for index, stage in enumerate(cfg.train_schedule.values()):
            stage.start = stage.end = index
        trainer = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        scores.append(train(trainer, cfg, tmp_path / device).score)
    assert scores[1] == pytest.approx(scores[0], rel=1e-3)


@pytest.mark.gpu
def test_the_kernels_of_cuequivariance_give_the_same(trainer_of, tmp_path):
    for package in ("cuequivariance", "cuequivariance_torch", "cuequivariance_ops_torch"):
        pytest.importorskip(package)
    scores = []
    for enabled in (False, True):
        trainer, cfg = trainer_of("cuda", f"trainer.enable_cueq={enabled}")
        scores.append(train(trainer, cfg, tmp_path / str(enabled)).score)
    assert scores[1] == pytest.approx(scores[0], rel=1e-2)


def test_out_of_memory_is_the_trials_own_failure(trainer_of, tmp_path, monkeypatch):
    trainer, cfg = trainer_of("cpu")

    def too_much(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee ...")

    monkeypatch.setattr(Optimization, "step", too_much)
    with pytest.raises(TrainingError, match=r"batch_size=4: try trainer.batch_size=2 \("):
        train(trainer, cfg, tmp_path)


@pytest.mark.gpu
def test_memory_that_is_really_full(trainer_of, tmp_path):
    trainer, cfg = trainer_of("cuda")
    trainer.setup(cfg)
    free, _ = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(TrainingError, match="out of memory on cuda"):
            train(trainer, cfg, tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert free > 0
    assert train(trainer, cfg, tmp_path / "again").state == "COMPLETE"
