"""Trials of the search whose worker died at an unlucky moment."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from sweep.search.objectives import SCORE, Objectives
from sweep.search.space import SearchSpace
from sweep.search.suggestion import suggest
from sweep.study import queue as trials
from sweep.study.phase import search_phase
from sweep.study.queue import TrialQueue
from sweep.study.runner import TrialRunner
from sweep.study.storage import open_study

SPACE = SearchSpace.parse(
    {"loss.esps.weight": "choice(1, 2)", "loss.forces.weight": "choice(3)"}, []
)


def never() -> bool:
    return False


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrialQueue:
    monkeypatch.setattr(trials, "_POLL_SECONDS", 0.02)
    return TrialQueue(
        open_study(tmp_path, "study"),
        tmp_path,
        optuna.samplers.RandomSampler,
        n_trials=2,
        max_failure_rate=0.0,
    )


def searching(queue: TrialQueue, folder: Path) -> TrialRunner:
    objectives = Objectives((SCORE,), {}, "rmse")
    spec = SimpleNamespace(
        name="study", space=SPACE, folder=folder, objectives=objectives, template=None, reuse=()
    )
    return TrialRunner(
        spec,
        search_phase(spec, queue),
        trainer=None,
        progress=SimpleNamespace(message=lambda _: None, trial_ended=lambda *_: None),
        stopped=never,
    )


def test_a_duplicate_does_not_wait_for_a_trial_that_nobody_trains(queue, tmp_path):
    params = {"loss.esps.weight": 1, "loss.forces.weight": 3}
    for _ in range(2):
        queue.study.enqueue_trial(params)
    first, second = queue.claim(never), queue.claim(never)
    suggest(first.trial, SPACE)
    first.lease.release()  # as the kernel does when its worker dies
    searching(queue, tmp_path).run(second)  # the only worker left
    second.lease.release()
    assert [trial.state for trial in queue.trials()] == [TrialState.RUNNING] * 2
    assert queue.claim(never).trial.number == 0
