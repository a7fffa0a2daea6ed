"""A reader sees the old file or the new one, never half of one."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweep.files import read_json, replacing, write_json, write_text


def test_the_old_file_stays_until_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # else the rename could cross file systems
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail_halfway():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_text() == "old"
    write_text(path, "new")  # what a killed writer left does not stand in the way
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_many_may_write_the_same_file(tmp_path):
    """Two reports of one study at once: neither ends over the other's file."""
    path = tmp_path / "index.html"
    texts = [f"{letter}" * 100_000 for letter in "abcd"]

    def write(text):
        for _ in range(30):
            write_text(path, text)
            assert path.read_text() in texts

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed(tmp_path):
    path = tmp_path / "a.txt"
    old, new, other = (tmp_path / f"{name}.tmp" for name in ("a.txt.1", "a.txt.2", "b.txt.1"))
    for left in (old, new, other):
        left.touch()
    for left in (old, other):
        os.utime(left, (1, 1))
    write_text(path, "a")
    assert set(tmp_path.iterdir()) == {path, new, other}


def test_json_round_trip_with_numbers_that_are_not_finite(tmp_path):
    path = tmp_path / "a.json"
    content = {
        "score": float("nan"),
        "nested": {"low": float("-inf"), "list": [1.5, float("inf"), (2, float("nan"))]},
        7: "ångström",
        "flag": True,
        "none": None,
    }
    write_json(path, content)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse) == {
        "score": None,
        "nested": {"low": None, "list": [1.5, None, [2, None]]},
        "7": "ångström",
        "flag": True,
        "none": None,
    }
    assert "ångström" in path.read_text(encoding="utf-8")
    assert read_json(path)["nested"]["list"][0] == 1.5


def test_a_json_file_that_is_not_there_is_empty(tmp_path):
    assert read_json(tmp_path / "none.json") == {}
