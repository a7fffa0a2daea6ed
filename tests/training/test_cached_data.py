"""A training on data from the cache is the training on the same data in memory."""

from __future__ import annotations

import torch

from sweep.data.dataset import load
from sweep.data.graphs import neighbours
from sweep.data.graphs.mapped import MappedGraphs
from sweep.data.read import tables as reading
from sweep.training.load_data import load_data
from sweep.training.preflight import preflight
from sweep.training.setup import Setup


def test_context_and_check_are_those_in_memory(compose, tmp_path, monkeypatch, capsys):
    from sweep.config.checks import check_config

    def serial(function, tasks):
        return map(function, tasks)

    monkeypatch.setattr(reading, "in_processes", serial)
    monkeypatch.setattr(neighbours, "in_processes", serial)
    cfg = compose(f"cache_dir={tmp_path / 'cache'}", "+experiment=esp_weights")
    stages = check_config(cfg)
    held = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    table = preflight(held, stages)
    monkeypatch.setattr(reading, "LARGE", 0)
    cached = Setup(cfg, load_data(cfg))
    told = capsys.readouterr().out
    assert "train.xyz: 12 configurations" in told
    assert "train.xyz: 12 of 12 configurations" in told

    assert isinstance(cached._graphs["train"], MappedGraphs)
    assert cached.scales == held.scales
    for split in ("train", "valid", "test"):
        pairs = zip(cached.batches(split, seed=1), held.batches(split, seed=1), strict=True)
        for (one, periodic), (other, expected) in pairs:
            assert periodic == expected
            assert set(one) == set(other)
            assert all(torch.equal(one[name], other[name]) for name in one)
    for one, other in zip(cached.model.parameters(), held.model.parameters(), strict=True):
        assert torch.equal(one, other)
    again = preflight(cached, stages)
    assert [list(column.cells) for column in again.columns] == [
        list(column.cells) for column in table.columns
    ]
