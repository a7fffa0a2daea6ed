"""Another mace-torch is refused; parameters that it leaves out are found."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import mace.tools
import pytest
import torch

from sweep.errors import InputError
from sweep.training.mace_run_train import compatibility
from sweep.training.mace_run_train.compatibility import check_mace, with_all_parameters, with_seed

TRAIN = sys.modules["mace.tools.train"]


def test_the_installed_one_is_known():
    check_mace(TRAIN)
    assert mace.tools.train is TRAIN.train


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(compatibility, "version", lambda name: "0.3.17")
    with pytest.raises(InputError, match=r"drives mace-torch 0\.3\.16; installed is 0\.3\.17"):
        check_mace(TRAIN)


def test_other_arguments_are_refused():
    def take_step(model, loss_fn, batch): ...

    changed = SimpleNamespace(**{**vars(TRAIN), "take_step": take_step})
    with pytest.raises(InputError, match=r"mace\.tools\.train\.take_step .* \(model, loss_fn, ba"):
        check_mace(changed)


def test_parameters_in_no_group():
    model = torch.nn.ModuleDict(
        {name: torch.nn.Linear(2, 2) for name in ("readouts", "heads", "radial_embedding", "off")}
    )
    model["off"].requires_grad_(False)
    notes = []

    def get_params_options(args, model):
        return {"params": [{"name": "readouts", "params": model["readouts"].parameters()}]}

    found = with_all_parameters(get_params_options, notes.append)(SimpleNamespace(lr=0.1), model)
    assert [group["name"] for group in found["params"]] == ["readouts", "rest"]
    assert found["params"][1]["params"] == list(model["heads"].parameters())
    torch.optim.Adam(**found)  # each parameter once
    (note,) = notes
    assert "leave 6 of 24 parameters untrained (heads)" in note
    del model["heads"]
    with_all_parameters(get_params_options, notes.append)(SimpleNamespace(lr=0.1), model)
    assert len(notes) == 1


def test_the_split_has_its_own_seed():
    assert with_seed(lambda **given: given, 7)(seed=1, train_path="a") == {
        "seed": 7, "train_path": "a",
    }  # fmt: skip
