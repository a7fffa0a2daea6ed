"""Damaged files of a trial, torn journals and full disks cost at most the trial's own progress."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pandas as pd
import pytest

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.records.writer import TrialWriter
from sweep.study.storage import open_journal
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.setup import Setup
from sweep.training.trainer import Decision

EPOCHS = ["train_schedule.0.end=2"]


@pytest.fixture(scope="module")
def dataset(tiny_data):
    keys = {"energy": "REF_energy", "dipole": "REF_dipole"}
    arrays = {"forces": "REF_forces", "atomic_multipoles": "REF_multipoles"}
    head = {"E0s": "average", "info_keys": keys, "arrays_keys": arrays}
    files = {f"{split}_file": str(tiny_data / f"{split}.xyz") for split in ("train", "valid")}
    return load({"tiny": {**head, **files}}, split_seed=0)


def train(cfg, dataset, folder: Path, *, epochs: int = 3):
    entries = {"number": 0, "role": "default", "params": {}}

    def after_epoch(report):
        return Decision.STOP if report.epoch + 1 == epochs else Decision.CONTINUE

    return train_trial(
        OwnTrainer(dataset), cfg, check_config(cfg), TrialWriter(folder, entries), after_epoch
    )


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("checkpoint.pt", truncate),
        ("best.pt", truncate),
        ("best.pt", Path.unlink),
        ("breakdown.parquet", truncate),
        ("breakdown.parquet", Path.unlink),
        ("metrics.parquet", Path.unlink),
        ("logs/fit_debug.log", truncate),
        ("logs/fit_debug.log", Path.unlink),
    ],
)
def test_a_trial_with_a_damaged_file_begins_again(compose, dataset, tmp_path, name, damage):
    cfg = compose(*EPOCHS)
    whole = train(cfg, dataset, tmp_path / "whole")
    folder = tmp_path / "damaged"
    assert train(cfg, dataset, folder, epochs=2).state == "STOPPED"
    damage(folder / name)
    result = train(cfg, dataset, folder)
    assert (result.state, result.score) == ("COMPLETE", whole.score)
    assert len(pd.read_parquet(folder / "breakdown.parquet")) == 9
    assert len(pd.read_parquet(folder / "metrics.parquet")) == 3
    log = (folder / "logs" / "fit_debug.log").read_text()
    assert (log.count("loss breakdown"), log.count("\0")) == (9, 0)


def test_a_damaged_trial_json_is_written_again(compose, dataset, tmp_path):
    cfg = compose(*EPOCHS)
    train(cfg, dataset, tmp_path, epochs=2)
    truncate(tmp_path / "trial.json")
    assert train(cfg, dataset, tmp_path).state == "COMPLETE"
    assert json.loads((tmp_path / "trial.json").read_text())["epochs_trained"] == 3


def test_a_torn_line_swallows_no_record(tmp_path):
    path = tmp_path / "study.journal"
    study = optuna.create_study(storage=open_journal(path))
    trial = study.ask()
    with path.open("ab") as file:
        file.write(b'{"op_code": 6, "wor')
    study.tell(trial, 1.0)
    with path.open("ab") as file:
        file.write(b'{"op_code": 6, "wor')
    again = optuna.load_study(study_name=None, storage=open_journal(path))
    assert [t.value for t in again.get_trials()] == [1.0]
    again.ask()
    assert len(optuna.load_study(study_name=None, storage=open_journal(path)).get_trials()) == 2


def test_a_configuration_that_the_model_cannot_take_is_refused_by_name(compose, dataset):
    dataset.valid[0].pbc[:2] = True  # a slab without a cell
    try:
        with pytest.raises(InputError, match=r'valid\.xyz: configuration 0: pbc="T T F"'):
            Setup(compose(), dataset)
    finally:
        dataset.valid[0].pbc[:] = False
