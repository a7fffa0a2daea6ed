"""Whatever the order in which a program tells things, and however often, epochs come out right."""

from __future__ import annotations

import re

import pytest

from sweep.training.external.epochs import Epochs
from sweep.training.external.events import Evaluation, Step, event_of
from sweep.training.external.lines import json_parser, pattern_parser


def whole(metrics):
    return "f" in metrics


def step(epoch, number, total=1.0):
    return Step(epoch, number, total=total)


def numbers(epoch):
    return [(of, s.step, s.total) for of, s in epoch.steps]


def test_an_epoch_has_its_steps_and_its_errors():
    epochs = Epochs()
    epochs.add([step(0, 0), step(0, 1), Evaluation(0, metrics={"f": 1.0}), step(1, 0)])
    (first,) = epochs.take(whole)
    assert (first.number, first.metrics, numbers(first)) == (
        0,
        {"f": 1.0},
        [(0, 0, 1.0), (0, 1, 1.0)],
    )
    epochs.add([Evaluation(1, metrics={"f": 0.5})])
    (second,) = epochs.take(whole)
    assert numbers(second) == [(1, 0, 1.0)]
    assert epochs.take(whole) == []


def test_what_is_told_twice_counts_once_and_the_later_wins():
    epochs = Epochs()
    epochs.add([step(0, 0, 1.0), step(0, 1, 2.0), step(0, 0, 7.0)])
    epochs.add(2 * [Evaluation(0, metrics={"f": 1.0})])
    (first,) = epochs.take(whole)
    assert numbers(first) == [(0, 0, 7.0), (0, 1, 2.0)]
    epochs.add([Evaluation(0, metrics={"f": 1.0})])
    assert epochs.take(whole) == []
    epochs.add([Evaluation(0, metrics={"f": 2.0})])
    (again,) = epochs.take(whole)
    assert (again.metrics, numbers(again)) == ({"f": 2.0}, numbers(first))


def test_an_evaluation_in_parts_is_taken_when_it_is_whole():
    epochs = Epochs()
    epochs.add([Evaluation(0, metrics={"e": 1.0})])
    assert epochs.take(whole) == []
    epochs.add([Evaluation(0, metrics={"f": 2.0})])
    (first,) = epochs.take(whole)
    assert first.metrics == {"e": 1.0, "f": 2.0}


@pytest.mark.parametrize("more", [[step(1, 0)], [Evaluation(1, metrics={"f": 1.0})], None])
def test_one_that_stays_in_parts_is_taken_when_nothing_more_can_come(more):
    epochs = Epochs()
    epochs.add([Evaluation(0, metrics={"e": 1.0})])
    epochs.add(more or [])
    assert epochs.take(whole, ended=more is None)[0].metrics == {"e": 1.0}


def test_without_numbers_lines_count_themselves():
    epochs = Epochs()
    epochs.add([step(None, None, 1.0), step(None, None, 2.0), Evaluation(metrics={"f": 1.0})])
    epochs.add([step(None, None, 3.0), Evaluation(metrics={"f": 0.5})])
    first, second = epochs.take(whole)
    assert (first.number, [s.total for _, s in first.steps]) == (0, [1.0, 2.0])
    assert (second.number, [s.total for _, s in second.steps]) == (1, [3.0])


def test_steps_of_epochs_that_are_not_evaluated_go_with_the_next_one():
    epochs = Epochs()
    epochs.add([step(0, 0), step(1, 0), Evaluation(1, metrics={"f": 1.0})])
    (found,) = epochs.take(whole)
    assert [of for of, _ in found.steps] == [0, 1]


def test_a_program_that_goes_on_may_tell_an_epoch_again():
    epochs = Epochs(n_done=3)
    epochs.add([step(2, 0, 9.0), Evaluation(2, metrics={"f": 1.0})])
    (found,) = epochs.take(whole)
    assert (found.number, numbers(found)) == (2, [(2, 0, 9.0)])


@pytest.mark.parametrize(
    ("content", "event"),
    [
        ({"epoch": 1, "rmse_f": 2}, Evaluation(1, "valid", {"rmse_f": 2.0})),
        ({"rmse_f": 2}, Evaluation(None, "valid", {"rmse_f": 2.0})),
        ({"epoch": 1, "split": "test", "rmse_f": 2}, Evaluation(1, "test", {"rmse_f": 2.0})),
        ({"epoch": 0, "step": 4, "loss": 3, "raw": {"f": 1}, "lr": 0.1},
         Step(0, 4, {"f": 1.0}, total=3.0, lr=0.1)),
        ({"epoch": None, "rmse_f": 2}, None),  # before the training
        ({"epoch": "one", "rmse_f": 2}, None),
        ({"epoch": float("nan"), "rmse_f": 2}, None),
        ({"epoch": 1, "note": "text", "flag": True}, None),
        ({"epoch": 1, "split": "train", "rmse_f": 2}, None),
        ([1, 2], None),
        (None, None),
    ],
)  # fmt: skip
def test_lines_of_json(content, event):
    assert event_of(content) == event


def test_epochs_may_be_counted_from_one():
    parse = json_parser(1)
    assert parse('{"epoch": 1, "f": 2}') == [Evaluation(0, "valid", {"f": 2.0})]
    assert parse('{"epoch": 0, "f": 2}') == []
    assert parse("{broken") == parse("text") == []


def test_patterns_find_metrics_tests_and_steps():
    parse = pattern_parser(
        re.compile(r"Epoch (?P<epoch>\d+): E (?P<energy>\S+)( T (?P<test_energy>\S+))?"),
        re.compile(r"step (?P<step>\d+) of (?P<epoch>\d+) f=(?P<weighted_f>\S+) (?P<total>\S+)"),
        1,
    )
    assert parse("Epoch 1: E 0.5 meV") == [Evaluation(0, "valid", {"energy": 0.5})]
    assert parse("Epoch 2: E 0.5 T 0.7") == [
        Evaluation(1, "valid", {"energy": 0.5}), Evaluation(1, "test", {"energy": 0.7})
    ]  # fmt: skip
    assert parse("step 3 of 1 f=2.0 4.0") == [Step(0, 3, weighted={"f": 2.0}, total=4.0)]
    assert parse("Epoch 1: E none") == []
