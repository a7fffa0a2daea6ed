"""Stages and weights from ``train_schedule`` and ``loss``."""

import copy
import math
import re

import pytest
from shipped_terms import known_terms

import losses
from sweep.config.stages import resolve_stages
from sweep.errors import InputError

SCHEDULE = {
    "0": {"name": "first", "start": 0, "end": 9, "lr": 0.01, "loss": None},
    "1": {"name": "second", "start": 10, "end": 19, "lr": 0.001, "loss": None},
}
LOSS = {"forces": {"weight": 100}, "forces_huber": {"weight": 2.0, "huber_delta": 0.05}}


def test_stages_without_a_loss_share_the_composed_one():
    first, second = resolve_stages(SCHEDULE, LOSS)
    assert first.loss == second.loss == LOSS
    assert first.weights == {"forces": 100.0, "forces_huber": 2.0}
    assert (second.index, second.name, second.start, second.end) == (1, "second", 10, 19)


def test_a_stage_takes_its_own_loss_instead_and_options_have_defaults():
    schedule = copy.deepcopy(SCHEDULE)
    schedule["1"]["loss"] = {"esps": 5, "forces_huber": {"weight": 1}}
    first, second = resolve_stages(schedule, LOSS)
    assert first.loss == LOSS
    default = known_terms()["forces_huber"]["huber_delta"]
    assert second.loss == {
        "esps": {"weight": 5.0},
        "forces_huber": {"weight": 1.0, "huber_delta": default},
    }


def test_weights_become_floats_and_the_input_stays_as_it_was():
    loss = {"forces": {"weight": 3}}
    (stage, _) = resolve_stages(SCHEDULE, loss)
    assert type(stage.weights["forces"]) is float
    assert loss == {"forces": {"weight": 3}}
    stage.loss["forces"]["weight"] = 7.0
    assert known_terms()["forces"]["weight"] != 7.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 5}, r"^train_schedule\.1\.start: must be 10, .*; got 5$"),
        ({"end": 9}, r"^train_schedule\.1\.end: must be at least start \(10\); got 9$"),
        ({"lr": float("nan")}, r"^train_schedule\.1\.lr: must be positive and finite; got nan$"),
        ({"lr": -1.0}, r"^train_schedule\.1\.lr: .*; got -1\.0$"),
        ({"loss": {}}, r"^train_schedule\.1\.loss: no term has a weight above 0"),
        ({"loss": 5}, r"^train_schedule\.1\.loss: must map terms to weights"),
        ({"loss": {"forces": "1"}}, r"^train_schedule\.1\.loss\.forces\.weight: .*'1'$"),
        ({"loss": {"forces": {}}}, r"^train_schedule\.1\.loss\.forces: has no weight"),
        (
            {"loss": {"forces": {"weight": 1, "huber_delta": 1}}},
            "unknown option of forces",
        ),
        ({"loss": {"forces": 0, "esps": 0.0}}, r"^train_schedule\.1\.loss: no term"),
    ],
)
def test_what_is_not_valid_names_its_key(change, message):
    schedule = copy.deepcopy(SCHEDULE)
    schedule["1"] |= change
    with pytest.raises(InputError, match=message):
        resolve_stages(schedule, LOSS)


def test_stages_are_numbered_from_0():
    with pytest.raises(InputError, match="numbered 0, 1"):
        resolve_stages({"1": SCHEDULE["1"]}, LOSS)
    with pytest.raises(InputError, match="at least a stage 0"):
        resolve_stages({}, LOSS)


def test_the_terms_of_conf_are_those_of_the_loss_core():
    """What a file of the group ``loss`` says agrees with what the term says of itself."""
    assert set(known_terms()) == set(losses.names())
    for name, block in known_terms().items():
        options = {key: value for key, value in block.items() if key != "weight"}
        assert options == dict(losses.get(name).options)


@pytest.mark.parametrize("name", losses.names())
def test_options_are_checked_by_the_term_itself(name):
    for option, default in losses.get(name).options.items():
        for value in (default, 0.0, -1.0, math.inf, "label", "no", True, None):
            loss = {name: {"weight": 1.0, option: value}}
            try:
                losses.get(name).check({option: value})
            except losses.LossError as error:
                with pytest.raises(InputError, match=re.escape(f"loss.{name}.{option}: {error}")):
                    resolve_stages(SCHEDULE, loss)
            else:
                resolve_stages(SCHEDULE, loss)


def test_a_text_option_of_its_default_value_is_left_out():
    for reference, kept in (("multipoles", {}), ("label", {"reference": "label"})):
        (stage,) = resolve_stages(
            {"0": {**SCHEDULE["0"], "loss": {"esps": {"weight": 10, "reference": reference}}}}, {}
        )
        assert stage.loss == {"esps": {"weight": 10.0, **kept}}
