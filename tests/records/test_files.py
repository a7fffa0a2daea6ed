"""A reader sees the old file or the new one, never half of one."""

import json

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
