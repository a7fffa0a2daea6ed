"""``trial.json`` is read without trust."""

import json

import pytest

from sweep.errors import DamagedRecordError
from sweep.records.trial_file import read_trial_file

GOOD = {
    "number": 3, "state": "COMPLETE", "score": 0.5, "params": {"loss.esps.weight": 2.0},
    "metrics": {"valid": {"score": 0.5, "rmse_forces": None}},
    "objective": {"metrics": ["forces"], "statistic": "rmse"},
    "stages": [{"name": "a", "loss": {"forces": {"weight": 1.0}}}],
    "switches": [{"stage": "a", "epoch": 3, "gradient": 2.0, "steps": None, "is_jump": False}],
}  # fmt: skip


def write(tmp_path, content):
    path = tmp_path / "trial.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_good_one_is_kept_and_filled(tmp_path):
    assert read_trial_file(write(tmp_path, GOOD)) == GOOD
    little = read_trial_file(write(tmp_path, {"number": 0, "state": "FAILED"}))
    assert (little["params"], little["metrics"], little["stages"]) == ({}, {}, [])


BAD = {
    "cut off": ('{"number": 3, "st', "not valid JSON"),
    "empty": ("", "not valid JSON"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "a list": ([1], "holds a list instead of a mapping"),
    "no state": ({"number": 1}, "lacks 'state'"),
    "no number": ({"state": "COMPLETE"}, "lacks 'number'"),
    "a number that is none": ({**GOOD, "number": "3"}, "'number' is \"3\""),
    "a negative number": ({**GOOD, "number": -1}, "'number' is -1"),
    "a truth for a number": ({**GOOD, "number": True}, "'number' is true"),
    "an unknown state": ({**GOOD, "state": "DONE"}, "'state' is \"DONE\", expected one of COM"),
    "complete without score": ({**GOOD, "score": None}, "'score' of a complete trial is null"),
    "a score of text": ({**GOOD, "state": "PRUNED", "score": "low"}, "'score' is \"low\""),
    "a score that is not finite": (json.dumps(GOOD).replace("0.5", "NaN", 1), "'score'"),
    "params as a list": ({**GOOD, "params": []}, "'params' is []"),
    "params of lists": ({**GOOD, "params": {"a": [1]}}, "'params'"),
    "metrics of text": ({**GOOD, "metrics": {"valid": {"score": "x"}}}, "'metrics'"),
    "a statistic": (
        {**GOOD, "objective": {"metrics": [], "statistic": "max"}}, "'objective'"
    ),
    "no objective": ({k: v for k, v in GOOD.items() if k != "objective"}, "lacks 'objective'"),
    "stages": ({**GOOD, "stages": {}}, "'stages' is {}"),
    "a loss of numbers": ({**GOOD, "stages": [{"loss": {"forces": 1.0}}]}, "'stages'"),
    "no loss": ({**GOOD, "stages": [{"name": "a"}]}, "'stages'"),
    "switches": ({**GOOD, "switches": {"a": 1}}, "'switches' is {"),
    "a switch without its length": ({**GOOD, "switches": [{"is_jump": True}]}, "'switches'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(tmp_path, name):
    content, message = BAD[name]
    path = write(tmp_path, content)
    with pytest.raises(DamagedRecordError) as caught:
        read_trial_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(DamagedRecordError, match="no such file"):
        read_trial_file(tmp_path / "trial.json")
    (tmp_path / "trial.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedRecordError, match="not valid JSON"):
        read_trial_file(tmp_path / "trial.json")
    with pytest.raises(DamagedRecordError, match="directory"):
        read_trial_file(tmp_path)
