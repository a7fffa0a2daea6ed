"""What is told while a study runs, and that it says which score it is."""

import io
import re
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from sweep.study.phase import Phase, Training
from sweep.study.queue import TrialQueue
from sweep.workers.display import LiveProgress, PlainProgress
from sweep.workers.monitor import Monitor


def displayed(kind, standing, has_limits, **more):
    """What a display prints of a trial of one epoch that ends."""
    text = io.StringIO()
    console = Console(file=text, width=160)
    with kind(console, 4, lambda: standing, has_limits=has_limits) as progress:
        progress.trial_started(1, "forces=3", 1)
        progress.epoch(1, 0, 0.5, {"forces": 1.0}, **more)
        progress.trial_ended(1, "COMPLETE", 0.75)
    return text.getvalue()


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
@pytest.mark.parametrize(
    ("best", "has_limits", "words"),
    [
        ((0.5, 1), False, ", lowest score 0.5000 (trial 1)"),
        ((0.875, 0), True, ", lowest score within the limits 0.8750 (trial 0)"),
        (None, True, ", none within the limits"),
        (None, False, ""),
    ],
)
def test_the_lowest_score_names_the_trials_that_it_is_of(kind, best, has_limits, words):
    lines = displayed(kind, (1, best), has_limits).splitlines()
    assert f"trial 1 complete, score 0.7500; 1/4 trials{words}" in map(str.rstrip, lines)


@pytest.mark.parametrize("is_best", [False, True])
def test_the_score_of_an_epoch_is_told_from_the_best(is_best):
    text = displayed(PlainProgress, (0, None), False, is_best=is_best)
    assert ("epoch 1/1 best score 0.5000" in text) is is_best
    assert ("epoch 1/1 score 0.5000" in text) is not is_best


def monitored(tmp_path, epoch, **attrs):
    """What a monitor shows of a trial in its first epoch, of one in the study's trainings."""
    study = optuna.create_study()
    queue = TrialQueue(study, tmp_path, lambda n: study.sampler, n_trials=1, max_failure_rate=1)
    base = SimpleNamespace(objective=SimpleNamespace(epoch=epoch))
    spec = SimpleNamespace(base=base, folder=tmp_path, n_epochs=1)
    training = Training(0, {}, None, "trials/0000", "forces=3")
    phase = Phase(queue, lambda trial: training, None, searches=True)
    text = io.StringIO()
    progress = PlainProgress(Console(file=text, width=160), 1, lambda: (0, None), has_limits=False)
    monitor = Monitor(spec, phase, progress)
    running = create_trial(
        state=TrialState.RUNNING, intermediate_values={0: 0.25}, user_attrs=attrs
    )
    study.add_trial(running)
    monitor.look()
    return text.getvalue()


@pytest.mark.parametrize("epoch", ["best", "last"])
def test_a_monitor_says_best_where_the_storage_holds_the_best(tmp_path, epoch):
    """With `objective.epoch=best` pruners compare the best until then, and so does its line."""
    found = re.findall(r"epoch 1/1 (.*score) 0\.2500", monitored(tmp_path, epoch))
    assert found == [{"best": "best score", "last": "score"}[epoch]]


def test_a_longer_confirmation_has_its_own_number_of_epochs(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(PlainProgress, "trial_started", lambda self, *args: told.append(args))
    monkeypatch.setattr(PlainProgress, "epoch", lambda self, *args, **options: None)
    monitored(tmp_path, "best", length=10)
    assert told == [(0, "forces=3", 10)]
