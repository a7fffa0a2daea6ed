"""Folders of trials and studies, written by the recorder as a training writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.recording.files import write_json
from sweep.recording.trial import TrialRecord

LOSS = {
    "forces": {"weight": 100.0},
    "esps": {"weight": 2.0},
    "forces_huber": {"weight": 0.5, "huber_delta": 0.02},
}
RAW = [[0.02, 0.5, 2.0], [0.04, 0.5, 4.0]]  # steps x terms of LOSS
# weighted means 3, 1, 1.5: shares 6/11, 2/11, 3/11


def errors(factor: float) -> dict[str, float]:
    """Metrics of an evaluation; ``factor`` scales them all."""
    return {
        "loss": 0.1 * factor,
        "score": 0.2 * factor,
        "rmse_energy": 0.0015 * factor,
        "mae_energy": 0.001 * factor,
        "rmse_forces": 0.05 * factor,
        "mae_forces": 0.04 * factor,
    }


@pytest.fixture
def make_trial(tmp_path: Path) -> Callable[..., Path]:
    """Write the folder of a trial of the study in ``tmp_path``."""

    def make(number: int, *, factor: float = 1.0, loss: Any = None, **content: Any) -> Path:
        folder = tmp_path / "trials" / f"{number:04d}"
        loss = loss or LOSS
        record = TrialRecord(folder, "fit")
        weights = {name: term["weight"] for name, term in loss.items()}
        for epoch in range(2):
            raw = np.array(RAW)[:, : len(weights)] / (epoch + 1)
            record.add_steps(
                first_step=2 * epoch, epoch=epoch, stage=0, lr=0.01, times=[0.0, 1.0], raw=raw,
                weights=weights, total=raw @ np.array(list(weights.values())),
                grad_norm=np.ones(2),
            )  # fmt: skip
            record.add_metrics(
                step=2 * epoch + 2, epoch=epoch, stage=0, split="valid", metrics=errors(factor)
            )
        record.commit()
        stage = {"name": "first", "start": 0, "end": 1, "lr": 0.01, "loss": loss}
        write_json(
            folder / "trial.json",
            {
                "number": number, "role": None, "state": "COMPLETE", "score": 0.2 * factor,
                "epoch": 1, "seconds": 3.0, "params": {"loss.esps.weight": 2.0}, "reason": None,
                "seed": 0, "objective": {"metrics": ["energy", "forces"], "statistic": "rmse"},
                "metrics": {"valid": errors(factor), "test": errors(1.25 * factor)},
                "stages": [stage], **content,
            },
        )  # fmt: skip
        return folder

    return make


@pytest.fixture
def study_folder(make_trial: Callable[..., Path], tmp_path: Path) -> Path:
    """Default, balanced, a better, a pruned, a failed and a running trial."""
    make_trial(0, role="default")
    make_trial(1, role="balanced", factor=0.8)
    make_trial(2, factor=0.5)
    make_trial(3, factor=0.1, state="PRUNED", metrics={"valid": errors(0.1)})
    make_trial(4, state="FAILED", score=None, metrics={}, reason="epoch 0, batch 1: not finite")
    make_trial(5, state="RUNNING", score=None, metrics={})
    return tmp_path
