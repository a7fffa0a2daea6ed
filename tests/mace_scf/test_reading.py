"""Files are read as MACE_SCF's argument parser would understand them."""

import pytest

from sweep.errors import InputError
from sweep.mace_scf.reading import literal, number, read_file


def read(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return read_file(path)


def test_values_mean_what_they_say(tmp_path):
    content = read(
        tmp_path,
        "weight-decay: 1e-8\nlr: 3.0E-2\nr_max: 6\nE0s: '{1: -1.2, 8: -2}'\nscheduler: none\n"
        "field_feature_norms: None\nwandb: 'True'\nname: 1x\nradial_MLP: '[64, 64]'\n",
    )
    assert content == {
        "weight_decay": 1e-8, "lr": 0.03, "r_max": 6, "E0s": {1: -1.2, 8: -2}, "scheduler": None,
        "field_feature_norms": None, "wandb": True, "name": "1x", "radial_MLP": [64, 64],
    }  # fmt: skip
    assert type(content["r_max"]) is int


def test_anchors_and_merges(tmp_path):
    content = read(tmp_path, "a: &a {forces: 1.0, esps: 2.0}\nb: {<<: *a, esps: 3.0}\n")
    assert content["b"] == {"forces": 1.0, "esps": 3.0}


@pytest.mark.parametrize(("given", "meant"), [("{broken", "{broken"), ("(1, 2)", (1, 2)), (3, 3)])
def test_literals(given, meant):
    assert literal(given) == meant


@pytest.mark.parametrize(("given", "meant"), [("1e2", 100.0), ("a", "a"), (True, True), (2, 2)])
def test_numbers(given, meant):
    assert number(given) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no keys"),
        ("- a\n", "it holds no keys"),
        ("a: 1\na: 2\n", "the key 'a' stands twice"),
        ("train-file: a\ntrain_file: b\n", "the key 'train_file' stands twice"),
        ("a: {b: 1, b: 2}\n", "is not YAML .*the key 'b' stands twice"),
        ("a: [\n", "is not YAML"),
        ("? [1, 2]\n: 3\n", "is not YAML .*a key is no plain value"),
        ("a: !!python/object:os.system x\n", "is not YAML"),
    ],
)
def test_what_cannot_be_read(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_file(tmp_path / "no.yaml")
    with pytest.raises(InputError, match="Is a directory"):
        read_file(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_file(tmp_path / "a.yaml")
