"""A worker opens a study that the sweep opened before it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sweep.errors import InputError
from sweep.workers import process


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(process, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(process, "_OPEN_SECONDS", 0.3)


def plan(n_failures):
    answers = iter([InputError("hydra.sweeper.storage: cannot open")] * n_failures)

    def open_study():
        for error in answers:
            raise error
        return "queue"

    return SimpleNamespace(open=open_study)


def test_it_waits_for_a_database_that_restarts():
    assert process.open_patiently(plan(3), lambda: False) == "queue"


def test_but_not_for_ever_nor_when_it_shall_stop():
    with pytest.raises(InputError, match="cannot open"):
        process.open_patiently(plan(1000), lambda: False)
    with pytest.raises(InputError, match="cannot open"):
        process.open_patiently(plan(1), lambda: True)
