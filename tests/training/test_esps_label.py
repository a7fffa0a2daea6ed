"""Training on potentials that are given in the data, and measuring them against the same."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from rich.console import Console

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.training.preflight import preflight
from sweep.training.setup import Setup

LABEL = "+heads.water_clusters.arrays_keys.esps=REF_esps"
LOSS = ["loss=[forces,esps]", "loss.esps.reference=label"]
METRICS = "objective.metrics=[forces,esps_label]"


@pytest.fixture
def data(tiny_data, tmp_path):
    """Potentials in all frames but the last of each split, and their overrides."""
    rng = np.random.default_rng(0)
    overrides = []
    for split in ("train", "valid", "test"):
        frames = ase.io.read(tiny_data / f"{split}.xyz", ":")
        for frame in frames[:-1]:
            frame.arrays["REF_esps"] = rng.normal(size=len(frame))
            frame.info["config_electrostatic_potentials_weight"] = 0.5
        ase.io.write(tmp_path / f"{split}.xyz", frames)
        overrides.append(f"heads.water_clusters.{split}_file={tmp_path / split}.xyz")
    return overrides


def prepare(compose, *overrides):
    cfg = compose(*overrides)
    setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    console = Console(width=200, record=True)
    stages = check_config(cfg)
    console.print(preflight(setup, stages))
    return setup, stages, console.export_text()


def test_label_mask_and_metric(compose, data):
    setup, stages, table = prepare(compose, *data, LABEL, *LOSS, METRICS)
    assert stages[0].loss["esps"]["reference"] == "label"
    assert "11/12" in table
    ref, _ = next(setup.batches("train"))
    assert set(ref["esps_weight"].tolist()) <= {0.0, 0.5}
    values = np.concatenate([c.labels["esps"] for c in setup.dataset.train if "esps" in c.labels])
    assert setup.scales["esps_label"] == pytest.approx(values.std())
    assert {"esps", "esps_label"} <= set(setup.quantities({}))


def test_the_metric_is_measured_against_the_label(compose, data):
    import losses

    setup, stages, _ = prepare(compose, *data, LABEL, *LOSS, METRICS)
    found = setup.evaluate("valid", losses.WeightedLoss(stages[0].loss), {})
    squares, count = 0.0, 0
    for ref, periodic in setup.batches("valid"):
        error = setup.model(ref, periodic=periodic)["esps"] - ref["esps"]
        labelled = (ref["esps_weight"] > 0)[ref["batch"]]
        squares += float(error[labelled].double().square().sum())
        count += int(labelled.sum())
    assert found["rmse_esps_label"] == pytest.approx((squares / count) ** 0.5, rel=1e-5)
    assert found["rmse_esps"] != pytest.approx(found["rmse_esps_label"])


def test_a_score_of_the_other_potential_is_said(compose, data):
    *_, table = prepare(compose, *data, LABEL, *LOSS, "objective.metrics=[forces,esps]")
    assert "the score measures 'esps'" in " ".join(table.split())
    *_, table = prepare(compose, *data, LABEL, *LOSS, METRICS)
    assert "the score measures" not in table


def test_without_the_label_it_is_refused(compose, data):
    message = "loss term 'esps': its label 'esps' is not mapped in heads"
    with pytest.raises(InputError, match=message):
        prepare(compose, *data, *LOSS, "objective.metrics=[forces]")
    with pytest.raises(InputError, match="'esps_label' cannot be measured"):
        prepare(compose, *data, *LOSS, METRICS)


def test_without_multipoles_it_is_trained_all_the_same(compose, data):
    overrides = [
        *data,
        LABEL,
        *LOSS,
        METRICS,
        "~heads.water_clusters.arrays_keys.atomic_multipoles",
    ]
    _, _, table = prepare(compose, *overrides)
    assert "11/12" in table
