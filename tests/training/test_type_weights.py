"""``config_type_weights`` act in the loss of a training and in no error that judges it."""

from __future__ import annotations

import ase.io
import numpy as np
import pandas as pd
import pytest

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.records.writer import TrialWriter
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

STAGE = ["train_schedule.0.end=1", "loss=[energy_per_atom,forces]"]
WEIGHTS = "+heads.water_clusters.config_type_weights={water_4: 5.0, water_2: 0.25}"


@pytest.fixture
def train(compose, tmp_path):
    """Train for two epochs; the tables."""

    def run(name, *overrides):
        cfg = compose(*STAGE, *overrides)
        trainer = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        writer = TrialWriter(tmp_path / name, {"number": 0})
        train_trial(trainer, cfg, check_config(cfg), writer, lambda report: Decision.CONTINUE)
        return {
            table: pd.read_parquet(tmp_path / name / f"{table}.parquet")
            for table in ("breakdown", "metrics")
        }

    return run


def test_they_are_the_weights_of_the_configurations(train, tiny_data, tmp_path):
    """Bit for bit the training on files that say them in config_weight."""
    weights = {"water_4": 5.0, "water_2": 0.25}
    files = []
    for split in ("train", "valid", "test"):
        frames = ase.io.read(tiny_data / f"{split}.xyz", index=":")
        for atoms in frames:
            atoms.info["config_weight"] = weights.get(atoms.info["config_type"], 1.0)
        ase.io.write(tmp_path / f"{split}.xyz", frames)
        files.append(f"heads.water_clusters.{split}_file={tmp_path / split}.xyz")
    by_type, by_file, plain = train("a", WEIGHTS), train("b", *files), train("c")
    for name, table in by_type.items():
        columns = [column for column in table.columns if column != "time"]
        pd.testing.assert_frame_equal(table[columns], by_file[name][columns])
    assert (by_type["breakdown"]["total"] != plain["breakdown"]["total"]).any()


def test_errors_do_not_depend_on_them(compose):
    """Of the same parameters: the loss of the validation does, as in MACE, its errors do not."""
    import losses

    found = []
    for overrides in ([], [WEIGHTS]):
        cfg = compose(*STAGE, *overrides)
        stages = check_config(cfg)
        setup = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed)).setup(cfg)
        loss = losses.WeightedLoss(stages[0].loss, device=setup.device, dtype=setup.dtype)
        found.append((setup.evaluate("valid", loss, stages[0].options), setup.scales))
    (one, scales), (other, other_scales) = found
    assert one.pop("loss") != other.pop("loss")
    assert one == other
    assert scales == other_scales
    assert np.isfinite(list(one.values())).any()
