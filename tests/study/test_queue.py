"""The queue hands out exactly the trials that were asked for, and loses none."""

import random
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import optuna
import pytest
from fixed_sampler import FixedSampler
from optuna.trial import TrialState

from sweep.errors import TrainingError
from sweep.search.objectives import SCORE
from sweep.study import queue as trials
from sweep.study.history import FEASIBLE
from sweep.study.queue import TrialQueue
from sweep.study.storage import open_journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trials, "_POLL_SECONDS", 0.02)


@pytest.fixture
def worker(tmp_path: Path):
    """A queue with a storage of its own, as in another process."""

    def make(n_trials: int = 3, max_failure_rate: float = 0.5) -> TrialQueue:
        study = optuna.create_study(
            study_name="s",
            storage=open_journal(tmp_path / "study.journal"),
            load_if_exists=True,
        )
        return TrialQueue(
            study,
            tmp_path,
            optuna.samplers.RandomSampler,  # its first argument is the seed
            n_trials=n_trials,
            max_failure_rate=max_failure_rate,
        )

    return make


def finish(queue, claim, value=1.0, state=TrialState.COMPLETE):
    claim.trial.set_user_attr(SCORE, value)
    queue.study.tell(claim.trial, value if state == TrialState.COMPLETE else None, state=state)
    claim.lease.release()


def test_one_worker_finishes_exactly_n_trials(worker):
    queue = worker(3)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    for number, state in enumerate(states):
        claim = queue.claim(never)
        assert claim.trial.number == number
        claim.trial.report(1.0, 0)
        finish(queue, claim, state=state)
    assert queue.claim(never) is None
    assert worker(3).claim(never) is None
    assert not worker(4).is_done()
    assert worker(4).claim(never).trial.number == 3


def test_many_workers_finish_exactly_n_trials(worker):
    n_trials, seen, errors = 12, [], []

    def work(seed):
        try:
            queue = worker(n_trials)
            while (claim := queue.claim(never)) is not None:
                seen.append(claim.trial.number)
                claim.trial.suggest_float("x", 0, 1)
                time.sleep(0.003 * seed)
                finish(queue, claim)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert sorted(seen) == list(range(n_trials))
    states = [trial.state for trial in worker().study.get_trials()]
    assert states == [TrialState.COMPLETE] * n_trials


def test_an_abandoned_trial_is_continued_under_its_number(worker):
    dead = worker()
    claim = dead.claim(never)
    weight = claim.trial.suggest_float("weight", 0, 1)
    claim.trial.report(0.5, 0)
    claim.lease.release()  # as the kernel does when the process dies

    queue = worker()
    again = queue.claim(never)
    assert again.trial.number == 0
    assert again.trial.suggest_float("weight", 0, 1) == weight
    finish(queue, again)
    assert queue.claim(never).trial.number == 1
    assert len(queue.study.get_trials()) == 2


def test_one_too_many_that_someone_left_is_not_trained(worker):
    """As when a database's answer was lost and the trial was created twice."""
    queue = worker(2, 0.0)
    first, second = queue.claim(never), queue.claim(never)
    queue.study.ask()
    finish(queue, first)
    assert start_claim(worker(2, 0.0))[1] == []  # it waits for the second
    assert queue.trials()[2].state == TrialState.FAIL
    finish(queue, second)
    assert queue.claim(never) is None


def test_a_trial_that_is_being_trained_is_left_alone(worker):
    first, second = worker(), worker()
    claim = first.claim(never)
    other = second.claim(never)
    assert (claim.trial.number, other.trial.number) == (0, 1)


def test_a_trial_that_ends_while_someone_looks_is_not_taken_over(worker, monkeypatch):
    first, second = worker(2), worker(2)
    claim = first.claim(never)
    read = second.trials
    seen = read()
    assert seen[0].state == TrialState.RUNNING
    finish(first, claim)
    answers = iter([seen])
    monkeypatch.setattr(second, "trials", lambda: next(answers, None) or read())
    assert second.claim(never).trial.number == 1


def test_enqueued_trials_come_first_and_count(worker):
    queue = worker(2)
    queue.study.enqueue_trial({"x": 0.25}, user_attrs={"role": "default"})
    claim = queue.claim(never)
    assert claim.trial.suggest_float("x", 0, 1) == 0.25
    assert claim.trial.user_attrs["role"] == "default"
    finish(queue, claim)
    finish(queue, queue.claim(never))
    assert queue.claim(never) is None


def start_claim(queue):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(queue.claim(never)))
    thread.start()
    thread.join(0.2)
    return thread, answers


def test_a_worker_that_runs_dry_waits_for_the_last_trial(worker):
    first = worker(1)
    claim = first.claim(never)
    thread, answers = start_claim(worker(1))
    assert thread.is_alive()
    finish(first, claim)
    thread.join(10)
    assert answers == [None]


def test_a_waiting_worker_takes_over_from_one_that_dies(worker):
    claim = worker(1).claim(never)
    thread, answers = start_claim(worker(1))
    assert thread.is_alive()
    claim.lease.release()
    thread.join(10)
    assert answers[0].trial.number == 0


def test_a_waiting_worker_replaces_a_trial_that_fails(worker):
    first = worker(1, 1.0)
    claim = first.claim(never)
    thread, answers = start_claim(worker(1, 1.0))
    finish(first, claim, state=TrialState.FAIL)
    thread.join(10)
    assert answers[0].trial.number == 1


def test_a_waiting_worker_can_be_stopped(worker):
    worker(1).claim(never)
    stop = threading.Event()
    answers = []
    queue = worker(1)
    thread = threading.Thread(target=lambda: answers.append(queue.claim(stop.is_set)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert answers == [None]


def test_one_and_many_workers_draw_the_same_points(worker, tmp_path):
    """The sampler of a trial depends on its number, not on who trains it, or in which order."""

    def draw(queue):
        claim = queue.claim(never)
        value = claim.trial.suggest_float("x", 0, 1)
        finish(queue, claim)
        return claim.trial.number, value

    alone = worker(3)
    drawn = [draw(alone) for _ in range(3)]
    assert len({value for _, value in drawn}) == 3
    (tmp_path / "study.journal").unlink()
    first, second = worker(3), worker(3)
    assert [draw(first), draw(second), draw(first)] == drawn


def test_too_many_failures_end_the_study_with_the_reason(worker):
    queue = worker(4, 0.5)  # at most 2
    for i in range(3):
        claim = queue.claim(never)
        claim.trial.set_user_attr("reason", f"epoch {i}: term 'esps' is not finite")
        finish(queue, claim, state=TrialState.FAIL)
    with pytest.raises(TrainingError, match=r"3 trials .*allows 2 of 4; trial 2: epoch 2"):
        queue.claim(never)


def test_no_failure_is_allowed_at_rate_0(worker):
    queue = worker(4, 0.0)
    finish(queue, queue.claim(never), state=TrialState.FAIL)
    with pytest.raises(TrainingError, match=r"1 trials failed, .*allows 0 of 4"):
        queue.claim(never)


def test_the_standing_is_that_of_the_finished_trials(worker):
    queue = worker(9)
    assert queue.standing() == (0, None)
    for value in (0.3, 0.1, 0.2):
        finish(queue, queue.claim(never), value)
    pruned = queue.claim(never)
    pruned.trial.report(0.05, 0)
    finish(queue, pruned, state=TrialState.PRUNED)
    finish(queue, queue.claim(never), state=TrialState.FAIL)
    queue.claim(never)
    assert queue.standing() == (4, (0.1, 1))


def test_a_trial_that_breaks_a_constraint_is_not_the_best(worker):
    queue = worker(9)
    for value, feasible in ((0.3, True), (0.1, False), (0.2, True)):
        claim = queue.claim(never)
        claim.trial.set_user_attr(FEASIBLE, feasible)
        finish(queue, claim, value)
    assert queue.standing() == (3, (0.2, 2))


def test_workers_that_do_not_see_each_others_lock_finish_exactly_n_trials(worker, monkeypatch):
    """As on nodes whose file system keeps flock locks to itself."""
    n_trials, errors = 12, []
    monkeypatch.setattr(trials, "locked", lambda path: nullcontext())

    def work():
        try:
            queue = worker(n_trials)
            while (claim := queue.claim(never)) is not None:
                finish(queue, claim)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    states = [trial.state for trial in worker().study.get_trials()]
    assert states.count(TrialState.COMPLETE) == n_trials
    assert set(states) <= {TrialState.COMPLETE, TrialState.FAIL}


def test_a_surplus_trial_is_no_failure(worker):
    first, second = worker(1, 0.0), worker(1, 0.0)
    trial = second.study.ask()  # begun by another node before ours could see it
    assert trial.number == 0
    lease = second._leases.take(0)
    surplus = first.study.ask()
    assert first._is_surplus(surplus)
    surplus.set_user_attr("surplus", True)
    first.study.tell(surplus, state=TrialState.FAIL)
    second.study.tell(trial, 1.0)
    lease.release()
    assert first.claim(never) is None


def test_an_exhausted_sampler_ends_the_study_early(worker):
    queue = worker(9)
    finish(queue, queue.claim(never))
    claim = queue.claim(never)
    queue.study.set_user_attr("exhausted", True)
    assert not queue.is_done()  # one is still at work
    finish(queue, claim)
    assert queue.is_done()
    assert worker(9).claim(never) is None


def test_a_queue_of_enqueued_trials_makes_none_of_its_own(worker):
    queue = worker(None, 1.0)
    assert queue.is_done()
    for i in range(3):
        queue.study.enqueue_trial({}, user_attrs={"of": i})
    assert queue.n_trials == 3
    finish(queue, queue.claim(never))
    finish(queue, queue.claim(never), state=TrialState.FAIL)  # not replaced
    assert not queue.is_done()
    finish(queue, queue.claim(never))
    assert queue.claim(never) is None
    assert queue.is_done()
    assert [trial.user_attrs["of"] for trial in queue.trials()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (TrialState.COMPLETE, True), (TrialState.PRUNED, True), (TrialState.RUNNING, True),
        (TrialState.FAIL, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("behind_one_at_work", [False, True])
def test_an_earlier_trial_with_the_same_parameters(worker, state, found, behind_one_at_work):
    queue = worker(9)
    if behind_one_at_work:
        queue.study.ask()
    queue.study.sampler = FixedSampler({"x": 1})
    first = queue.study.ask()
    first.suggest_int("x", 0, 3)
    if state != TrialState.RUNNING:
        queue.study.tell(first, 1.0 if state == TrialState.COMPLETE else None, state=state)
    second = queue.study.ask()
    second.suggest_int("x", 0, 3)
    same = queue.same_before(second.number, second.params)
    assert (same.number if same else None) == (first.number if found else None)
    assert queue.same_before(first.number, first.params) is None  # not the other way round
    assert queue.same_before(second.number, {"x": 2}) is None


def test_what_is_kept_of_ended_trials_is_what_all_trials_say(worker, monkeypatch):
    """The same answers as of a queue that sees the study for the first time."""
    chance, queue = random.Random(3), worker(400, 1.0)
    at_work = []
    for number in range(150):
        queue.study.sampler = optuna.samplers.RandomSampler(number)
        trial = queue.study.ask()
        trial.suggest_int("x", 0, 40)
        at_work.append(trial)
        while at_work and chance.random() < 0.6:
            ended = at_work.pop(chance.randrange(len(at_work)))
            state = chance.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
            if chance.random() < 0.2:
                ended.set_user_attr(FEASIBLE, False)
            ended.set_user_attr(SCORE, chance.random())
            queue.study.tell(ended, 1.0 if state == TrialState.COMPLETE else None, state=state)
        all_trials = queue.study.get_trials(deepcopy=False)
        complete = [t for t in all_trials if t.state == TrialState.COMPLETE]
        finished = [t for t in all_trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        scores = [
            (t.user_attrs[SCORE], t.number) for t in complete if t.user_attrs.get(FEASIBLE, True)
        ]
        assert queue.standing() == (len(finished), min(scores, default=None))
        same = [
            t.number
            for t in all_trials
            if t.number < number and t.params == trial.params and t.state != TrialState.FAIL
        ]
        found = queue.same_before(number, trial.params)
        assert (found.number if found else None) == min(same, default=None)
        assert queue.finished() == finished == worker().finished()
        assert queue.study.get_trials(deepcopy=True) == all_trials
