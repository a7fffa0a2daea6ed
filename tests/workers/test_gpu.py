"""Workers and GPUs: one card shared by two, each in its slot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from devices import need
from study_process import SMOKE, Command


@pytest.mark.gpu
def test_two_workers_share_a_card(tmp_path):
    need("cuda")
    arguments = [
        *SMOKE, "trainer.device=cuda", "hydra.sweeper.workers_per_gpu=2", "hydra.sweeper.n_jobs=2",
    ]  # fmt: skip
    with Command(tmp_path, *arguments) as command:
        assert command.wait(600) == 0, command.output
    records = [
        json.loads(path.read_text())
        for path in sorted(Path(tmp_path, "outputs/smoke/trials").glob("*/trial.json"))
    ]
    assert [record["state"] for record in records] == 4 * ["COMPLETE"]
    assert all(record["device"].startswith("cuda") for record in records)
