"""Damaged files of a trial, torn journals and full disks cost at most the trial's own progress."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
import torch

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


@pytest.fixture(scope="module")
def trained(compose, dataset, tmp_path_factory) -> Path:
    """A trial that was trained to its end, and one that was stopped before its last epoch."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = compose(*EPOCHS)
    assert train(cfg, dataset, folder / "whole").state == "COMPLETE"
    assert train(cfg, dataset, folder / "stopped", epochs=2).state == "STOPPED"
    return folder


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def holds(content: object) -> Callable[[Path], None]:
    """Makes a file hold something else, well written."""
    return lambda path: torch.save(content, path)


def without(key: str) -> Callable[[Path], None]:
    """Takes something out of what a file holds."""

    def damage(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        del content[key]
        torch.save(content, path)

    return damage


def with_other(key: str, value: object) -> Callable[[Path], None]:
    """Puts something else into what a file holds."""

    def damage(path: Path) -> None:
        torch.save({**torch.load(path, weights_only=True), key: value}, path)

    return damage


def of_another_shape(path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0]}).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("checkpoint.pt", truncate),
        ("best.pt", truncate),
        ("best.pt", Path.unlink),
        ("checkpoint.pt", empty),
        ("checkpoint.pt", zeros),
        ("checkpoint.pt", holds([1, 2])),
        ("checkpoint.pt", holds({"epoch": 1})),
        ("checkpoint.pt", without("member")),
        ("checkpoint.pt", without("log_size")),
        ("checkpoint.pt", with_other("member", {"model": {}})),
        ("checkpoint.pt", with_other("epoch", 77)),
        ("checkpoint.pt", with_other("history", [])),
        ("best.pt", empty),
        ("best.pt", holds(7)),
        ("best.pt", without("model")),
        ("best.pt", with_other("model", {"w": torch.zeros(2)})),
        ("best.pt", with_other("epoch", 77)),
        ("breakdown.parquet", truncate),
        ("breakdown.parquet", empty),
        ("breakdown.parquet", of_another_shape),
        ("metrics.parquet", of_another_shape),
        ("breakdown.parquet", Path.unlink),
        ("metrics.parquet", Path.unlink),
        ("logs/fit_debug.log", truncate),
        ("logs/fit_debug.log", Path.unlink),
    ],
)
def test_a_trial_with_a_damaged_file_begins_again(
    compose, dataset, trained, tmp_path, name, damage
):
    cfg = compose(*EPOCHS)
    folder = tmp_path / "damaged"
    shutil.copytree(trained / "stopped", folder)
    damage(folder / name)
    result = train(cfg, dataset, folder)
    score = json.loads((trained / "whole" / "trial.json").read_text())["score"]
    assert (result.state, result.score) == ("COMPLETE", score)
    assert len(pd.read_parquet(folder / "breakdown.parquet")) == 9
    assert len(pd.read_parquet(folder / "metrics.parquet")) == 3
    log = (folder / "logs" / "fit_debug.log").read_text()
    assert (log.count("loss breakdown"), log.count("\0")) == (9, 0)
    best, expected = (
        torch.load(f / "best.pt", weights_only=True) for f in (folder, trained / "whole")
    )
    assert best["epoch"] == result.epoch
    torch.testing.assert_close(best["model"], expected["model"], rtol=0, atol=0)
    assert list((folder / "damaged").iterdir())


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
