"""What is shown while large data files are prepared."""

import io

from rich.console import Console

from sweep.data.graphs import neighbours
from sweep.data.read import tables as reading
from sweep.training.load_data import load_data


def shown(compose, tmp_path, monkeypatch, *, terminal):
    def serial(function, tasks):
        return map(function, tasks)

    monkeypatch.setattr(reading, "LARGE", 0)
    monkeypatch.setattr(reading, "in_processes", serial)
    monkeypatch.setattr(neighbours, "in_processes", serial)
    cfg = compose(f"cache_dir={tmp_path / 'cache'}")
    texts = []
    for _ in range(2):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
        data = load_data(cfg, console)
        texts.append(console.file.getvalue())
    assert len(data.train) == 12
    assert data.train.columns.folder is not None
    return texts


def test_lines_in_a_pipe_and_nothing_the_second_time(compose, tmp_path, monkeypatch):
    first, second = shown(compose, tmp_path, monkeypatch, terminal=False)
    lines = first.splitlines()
    assert [line.rpartition("/")[2] for line in lines] == [
        "train.xyz: 12 configurations", "valid.xyz: 6 configurations", "test.xyz: 6 configurations",
        "train.xyz: 12 of 12 configurations", "valid.xyz: 6 of 6 configurations",
        "test.xyz: 6 of 6 configurations",
    ]  # fmt: skip
    assert lines[0].startswith("reading /")
    assert lines[3].startswith("searching neighbours in /")
    assert second == ""


def test_bars_in_a_terminal(compose, tmp_path, monkeypatch):
    first, second = shown(compose, tmp_path, monkeypatch, terminal=True)
    assert "searching neighbours" in first
    assert "12/12" in first
    assert "6/6" in first
    assert second == ""


def test_small_files_show_and_write_nothing(compose, tmp_path):
    console = Console(file=io.StringIO())
    data = load_data(compose(f"cache_dir={tmp_path / 'cache'}"), console)
    assert data.train.columns.folder is None
    assert console.file.getvalue() == ""
    assert not (tmp_path / "cache").exists()
