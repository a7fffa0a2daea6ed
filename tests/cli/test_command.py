"""What the command does without training: help, the configuration, errors; all without torch."""

import pytest
import yaml
from shipped_terms import known_terms


def test_help_names_every_option(traced):
    result, modules = traced("--help")
    assert (result.status, result.err) == (0, "")
    assert "python -m sweep +experiment=esp_weights -m" in result.out
    (terms,) = [line for line in result.out.splitlines() if line.startswith("loss: ")]
    assert terms.removeprefix("loss: ").split(", ") == list(known_terms())
    assert "torch" not in modules


def test_cfg_job_shows_the_configuration(traced, folder):
    result, modules = traced("--cfg", "job", "loss=[forces,esps]", "loss.esps.weight=30")
    assert (result.status, result.err) == (0, "")
    shown = yaml.safe_load(result.out)
    assert shown["loss"]["esps"]["weight"] == 30
    assert set(shown["loss"]) == {"forces", "esps"}
    assert "torch" not in modules
    assert not (folder / "outputs").exists()


BAD = {
    "configuration": (["trainer.batch_siz=3"], "trainer.batch_siz"),
    "search": (
        ["+experiment=smoke", "-m", "loss.esps.weight=interval(2, 3)"],
        "interval(2.0, 3.0)",
    ),
    "data": (
        ["data=extxyz", "heads.default.train_file=water.xyz", "heads.default.valid_file=argon.xyz"],
        "Ar",
    ),
    "data of a search": (
        ["+experiment=smoke", "-m", "heads.water_clusters.test_file=nowhere.xyz"],
        "nowhere.xyz",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_is_one_line(traced, folder, name):
    arguments, culprit = BAD[name]
    result, modules = traced(*arguments)
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    assert culprit in line
    assert "torch" not in modules
    assert not list(folder.rglob("trials"))


def test_the_full_error_is_there_on_request(traced, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    result, _ = traced("loss.forces.weight=-1")
    assert result.status == 1
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("sweep.errors.InputError: loss.forces.weight")
