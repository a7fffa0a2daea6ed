"""Every sampler of conf in the queue of a study: all kinds of keys, several workers, resuming."""

import math
import threading
import warnings

import optuna
import pytest
from fixed_sampler import FixedSampler
from omegaconf import OmegaConf
from optuna.trial import TrialState

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.locks import locked
from sweep.search.objectives import SCORE
from sweep.search.optimization import make_sampler
from sweep.search.outside import OVERRIDES, is_outside
from sweep.search.samplers import draws_in_turn
from sweep.search.space import SearchSpace
from sweep.search.suggestion import suggest
from sweep.study import queue as trials
from sweep.study.queue import TrialQueue
from sweep.study.storage import EXHAUSTED, open_study

SAMPLERS = sorted(path.stem for path in (CONF_DIR / "hydra/sweeper/sampler").glob("*.yaml"))
WALKS = ["brute_force", "grid"]
DRAWS = [name for name in SAMPLERS if name not in WALKS]

CONTINUOUS = {
    "loss.esps.weight": "tag(log, interval(0.1, 100))",
    "loss.energy.weight": "tag(log, interval(1, 1000))",
    "trainer.batch_size": "tag(log, int, interval(1, 64))",
    "trainer.optimizer": "choice(adam, adamw)",
    "loss.esps": "choice(on, off)",
}
DEFAULT = {
    "loss.esps": "on",
    "loss.esps.weight": 1.0,
    "loss.energy.weight": 10.0,
    "trainer.batch_size": 8,
    "trainer.optimizer": "adam",
}
FINITE = {
    "loss.esps": "choice(on, off)",
    "loss.esps.weight": "choice(1.0, 10.0)",
    "trainer.batch_size": "range(1, 2)",
    "trainer.ema_decay": "range(0.1, 0.3, 0.1)",
}
FINITE_DEFAULT = {
    "loss.esps": "on", "loss.esps.weight": 1.0, "trainer.batch_size": 1, "trainer.ema_decay": 0.3,
}  # fmt: skip
N_POINTS = (2 + 1) * 2 * 3


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trials, "_POLL_SECONDS", 0.01)


def never():
    return False


def load(name):
    return OmegaConf.load(CONF_DIR / f"hydra/sweeper/sampler/{name}.yaml")


def open_queue(folder, cfg, space, *, n_trials, minimize=(SCORE,), seed=0):
    """A worker's view of a study, with nothing shared but the storage."""
    study = open_study(folder, "s", n_objectives=len(minimize), space=space)
    return TrialQueue(
        study,
        folder,
        lambda number: make_sampler(cfg, space, seed=seed, number=number, minimize=minimize),
        n_trials=n_trials,
        max_failure_rate=0.0,
    )


def enqueue(queue, default):
    queue.study.enqueue_trial(default, user_attrs={"role": "default"})
    queue.study.enqueue_trial({}, user_attrs={"role": "balanced"})


def draw(queue, space, claim):
    """As a worker draws."""
    if draws_in_turn(queue.study.sampler):
        with locked(queue.lock_path):
            return suggest(claim.trial, space)
    return suggest(claim.trial, space)


def values_of(params, count):
    score = abs(math.log10(params.get("loss.esps.weight", 30.0))) + 0.1
    score += abs(math.log10(params.get("loss.energy.weight", 1.0)) - 2)
    return [score, 3.0 - score, score * params["trainer.batch_size"]][:count]


def work(queue, space, *, most=None, n_objectives=1):
    """Train as a worker does, with the balanced weights given."""
    done = 0
    while (most is None or done < most) and (claim := queue.claim(never)) is not None:
        if claim.trial.user_attrs.get("role") == "balanced":
            default = DEFAULT if "loss.energy.weight" in space.distributions else FINITE_DEFAULT
            queue.study.sampler = FixedSampler({**default, "loss.esps.weight": 10.0})
        params = draw(queue, space, claim)
        values = values_of(params, n_objectives)
        claim.trial.set_user_attr(SCORE, values[0])
        for epoch in range(3):
            claim.trial.storage.set_trial_intermediate_value(
                claim.trial._trial_id, epoch, values[0]
            )
        if claim.trial.number % 5 == 4:
            queue.study.tell(claim.trial, state=TrialState.PRUNED)
        else:
            queue.study.tell(claim.trial, values)
        claim.lease.release()
        done += 1


def points(queue):
    return [tuple(sorted(trial.params.items())) for trial in queue.trials()]


def check_params(queue, space):
    for trial in queue.trials():
        keys = [key for key in space.distributions if space.is_searched(key, trial.params)]
        assert set(trial.params) == set(keys)
        for key in keys:
            distribution = space.distributions[key]
            assert distribution._contains(distribution.to_internal_repr(trial.params[key]))
        assert type(trial.params["trainer.batch_size"]) is int


@pytest.mark.parametrize("name", DRAWS)
def test_a_sampler_that_draws_goes_on_to_n_trials(tmp_path, name, caplog):
    space = SearchSpace.parse(CONTINUOUS, [])
    queue = open_queue(tmp_path, load(name), space, n_trials=16)
    enqueue(queue, DEFAULT)
    work(queue, space)
    assert len(queue.finished()) == 16
    check_params(queue, space)
    drawn = points(queue)[2:]
    assert len(set(drawn)) > 0.7 * len(drawn)  # the best corner may be tried again
    choices = [trial.params["loss.esps"] for trial in queue.trials()[2:]]
    assert {"on", "off"} == set(choices)
    assert not caplog.records  # no remark of Optuna's at every draw


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_is_the_same_by_its_seed_and_however_often_it_was_resumed(tmp_path, name):
    space = SearchSpace.parse(FINITE if name in WALKS else CONTINUOUS, [])
    default = FINITE_DEFAULT if name in WALKS else DEFAULT
    drawn = {}
    for kind, seed, step in (("whole", 1, 12), ("again", 1, 3), ("other", 2, 12)):
        queue = open_queue(tmp_path / kind, load(name), space, n_trials=12, seed=seed)
        enqueue(queue, default)
        while not queue.is_done():
            queue = open_queue(tmp_path / kind, load(name), space, n_trials=12, seed=seed)
            work(queue, space, most=step)
        drawn[kind] = points(queue)
    assert drawn["whole"] == drawn["again"] != drawn["other"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_two_workers_share_a_study(tmp_path, name):
    walks = name in WALKS
    space = SearchSpace.parse(FINITE if walks else CONTINUOUS, [])
    n_trials = 60 if walks else 12
    enqueue(
        open_queue(tmp_path, load(name), space, n_trials=n_trials),
        FINITE_DEFAULT if walks else DEFAULT,
    )
    errors = []

    def run():
        try:
            work(open_queue(tmp_path, load(name), space, n_trials=n_trials), space)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    queue = open_queue(tmp_path, load(name), space, n_trials=n_trials)
    assert queue.is_done()
    assert not queue.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    check_params(queue, space)
    if walks:
        assert len(set(points(queue))) == N_POINTS
    else:
        assert len(queue.finished()) == n_trials
        # The best corner may be tried again, how often depends on who is first.
        assert len(set(points(queue)[2:])) > 0.5 * (n_trials - 2)


def test_a_gaussian_process_does_not_draw_again_what_was_pruned(tmp_path):
    space = SearchSpace.parse({"loss.esps.weight": "tag(log, interval(0.1, 100))"}, [])
    queue = open_queue(tmp_path, load("gp"), space, n_trials=20)
    for weight in (0.1, 1.0, 10.0, 100.0):
        queue.study.enqueue_trial({"loss.esps.weight": weight})
    pruned = []
    while (claim := queue.claim(never)) is not None:
        weight = draw(queue, space, claim)["loss.esps.weight"]
        if claim.trial.number < 4:
            queue.study.tell(claim.trial, math.log10(weight))
        else:
            pruned.append(weight)
            claim.trial.storage.set_trial_intermediate_value(claim.trial._trial_id, 3, 5.0)
            queue.study.tell(claim.trial, state=TrialState.PRUNED)
        claim.lease.release()
    # It drew one point again and again; now that is at most a near miss.
    assert pruned.count(0.1) == 0
    assert len(pruned) == 16
    assert len(set(pruned)) > 12


def test_brute_force_tries_every_point_once_and_ends(tmp_path):
    space = SearchSpace.parse(FINITE, [])
    queue = open_queue(tmp_path, load("brute_force"), space, n_trials=99)
    enqueue(queue, FINITE_DEFAULT)
    work(queue, space)
    assert len(queue.trials()) == N_POINTS == len(set(points(queue)))
    assert queue.study.user_attrs[EXHAUSTED]
    assert open_queue(tmp_path, load("brute_force"), space, n_trials=200).claim(never) is None


def test_a_grid_tries_every_point_and_ends(tmp_path):
    space = SearchSpace.parse(FINITE, [])
    queue = open_queue(tmp_path, load("grid"), space, n_trials=99)
    enqueue(queue, FINITE_DEFAULT)
    work(queue, space)
    n_combinations = 2 * 2 * 2 * 3
    assert len(queue.trials()) == 2 + n_combinations
    assert len(set(points(queue))) == N_POINTS
    assert queue.study.user_attrs[EXHAUSTED]


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_that_n_trials_cut_short_goes_on(tmp_path, name):
    space = SearchSpace.parse(FINITE, [])
    queue = open_queue(tmp_path, load(name), space, n_trials=8)
    enqueue(queue, FINITE_DEFAULT)
    work(queue, space)
    assert len(queue.finished()) == 8
    assert EXHAUSTED not in queue.study.user_attrs
    work(open_queue(tmp_path, load(name), space, n_trials=99), space)
    assert len(set(points(queue))) == N_POINTS


@pytest.mark.parametrize("name", WALKS)
def test_a_reference_may_be_the_last_to_end(tmp_path, name):
    """The default weights are no point of a grid's walk."""
    space = SearchSpace.parse({"trainer.batch_size": "range(1, 4)"}, [])
    queue = open_queue(tmp_path, load(name), space, n_trials=99)
    queue.study.enqueue_trial({"trainer.batch_size": 2}, user_attrs={"role": "default"})
    slow = queue.claim(never)
    suggest(slow.trial, space)
    other = open_queue(tmp_path, load(name), space, n_trials=99)
    while not other._is_exhausted():
        work(other, space, most=1)
    queue.study.sampler = make_sampler(load(name), space, seed=0, number=0)
    queue.study.tell(slow.trial, 1.0)
    slow.lease.release()
    assert queue.is_done()
    assert {dict(point)["trainer.batch_size"] for point in points(queue)} == {1, 2, 3, 4}


@pytest.mark.parametrize("name", SAMPLERS)
def test_trials_outside_the_space_are_nothing_to_a_sampler(tmp_path, name):
    """One is the first to end and one the last, and both are better than any."""
    walks = name in WALKS
    space = SearchSpace.parse(FINITE if walks else CONTINUOUS, [])
    queue = open_queue(tmp_path, load(name), space, n_trials=9)
    handles = []
    for _ in range(2):
        queue.study.enqueue_trial({}, user_attrs={OVERRIDES: {"seed": 1}})
        handles.append(queue.claim(never))
    assert all(is_outside(handle.trial) for handle in handles)
    queue.study.tell(handles[0].trial, 1e-9)
    enqueue(queue, FINITE_DEFAULT if walks else DEFAULT)
    work(queue, space, most=7)
    inside = [trial for trial in queue.trials() if not is_outside(trial)]
    for trial in inside:
        assert set(trial.params) == {k for k in space.distributions
                                     if space.is_searched(k, trial.params)}  # fmt: skip
    known = queue.study.sampler.infer_relative_search_space(queue.study, inside[-1])
    without = optuna.create_study()
    without.add_trials(inside)
    assert known == queue.study.sampler.infer_relative_search_space(without, inside[-1])
    assert known or name not in ("gp", "cmaes", "qmc")
    queue.study.tell(handles[1].trial, 1e-9)
    assert queue.is_done()


def test_brute_force_does_not_end_while_another_worker_is_drawing(tmp_path):
    """A point that is half drawn hides what lies behind its first parameters."""
    space = SearchSpace.parse(
        {"trainer.optimizer": "choice(a, b)", "trainer.batch_size": "range(1, 2)"}, []
    )
    queue = open_queue(tmp_path, load("brute_force"), space, n_trials=99)
    half = queue.claim(never)
    half.trial.suggest_categorical("trainer.optimizer", ["a", "b"])
    (taken,) = half.trial.params.values()
    other = open_queue(tmp_path, load("brute_force"), space, n_trials=99)
    for _ in range(2):
        work(other, space, most=1)
    assert [t.params["trainer.optimizer"] for t in other.trials()].count(taken) == 1
    assert EXHAUSTED not in other.study.user_attrs
    work(other, space, most=1)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "cmaes"])
def test_a_sampler_minimises_several_objectives(tmp_path, name):
    minimize = ("score", "energy", "forces")
    walks = name in WALKS
    space = SearchSpace.parse(FINITE if walks else CONTINUOUS, [])
    queue = open_queue(tmp_path, load(name), space, n_trials=12, minimize=minimize)
    enqueue(queue, FINITE_DEFAULT if walks else DEFAULT)
    work(queue, space, n_objectives=len(minimize))
    assert len(queue.finished()) == 12
    complete = [trial for trial in queue.finished() if trial.state == TrialState.COMPLETE]
    assert all(len(trial.values) == len(minimize) for trial in complete)


@pytest.mark.parametrize(
    ("name", "minimize", "n_trials"),
    [
        ("gp", ("score",), 20),
        ("gp", ("energy", "forces"), 16),
        ("tpe", ("score",), 30),
        ("tpe", ("energy", "forces"), 30),
        ("nsgaii", ("energy", "forces"), 100),
    ],
)
def test_a_sampler_hears_of_constraints(tmp_path, name, minimize, n_trials):
    """Small weights are good, and forbidden: what is drawn late keeps away from them."""
    keys = ["a", "b", "c"] if name == "nsgaii" else ["a"]  # it mutates one of its keys every time
    space = SearchSpace.parse(
        {f"loss.{key}.weight": "tag(log, interval(0.001, 1000))" for key in keys}, []
    )
    queue = open_queue(tmp_path, load(name), space, n_trials=n_trials, minimize=minimize)
    while (claim := queue.claim(never)) is not None:
        weight = suggest(claim.trial, space)["loss.a.weight"]
        claim.trial.set_constraint("forces", 1.0 - math.log10(weight))  # 10 at least
        if claim.trial.number % 4 == 3:
            claim.trial.storage.set_trial_intermediate_value(claim.trial._trial_id, 0, weight)
            queue.study.tell(claim.trial, state=TrialState.PRUNED)
        else:
            queue.study.tell(claim.trial, [math.log10(weight), 1.0 + weight][: len(minimize)])
        claim.lease.release()
    late = [trial.params["loss.a.weight"] for trial in queue.trials()[n_trials // 2 :]]
    assert sum(weight > 5 for weight in late) > len(late) / 2  # by chance a third of them


def test_cmaes_refuses_several_objectives_before_anything_is_trained():
    space = SearchSpace.parse(CONTINUOUS, [])
    with pytest.raises(InputError, match=r"CmaEsSampler minimises one .*objective\.minimize.*2 \("):
        make_sampler(load("cmaes"), space, seed=0, number=0, minimize=("energy", "forces"))


def test_cmaes_refuses_a_space_without_numbers():
    space = SearchSpace.parse({"trainer.optimizer": "choice(a, b)", "seed": "range(1, 4)"}, [])
    with pytest.raises(InputError, match=r"CmaEsSampler needs at least two numbers .* has 1"):
        make_sampler(load("cmaes"), space, seed=0, number=0)


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_refuses_a_space_without_end(name):
    space = SearchSpace.parse(CONTINUOUS, [])
    with pytest.raises(InputError, match=r"params\['loss\.esps\.weight'\]: .* has no end of value"):
        make_sampler(load(name), space, seed=0, number=0)


def test_cmaes_learns_from_its_generations(tmp_path):
    space = SearchSpace.parse(CONTINUOUS, [])
    queue = open_queue(tmp_path, load("cmaes"), space, n_trials=50)
    enqueue(queue, DEFAULT)
    work(queue, space)
    energies = [abs(math.log10(t.params["loss.energy.weight"]) - 2) for t in queue.trials()[2:]]
    assert sum(energies[-16:]) < 0.5 * sum(energies[:16])
    attrs = [trial.system_attrs for trial in queue.trials()]
    assert max(a.get("cma:generation", 0) for a in attrs) >= 3


def test_a_sobol_sequence_covers_the_space_evenly_from_the_first_draw(tmp_path):
    space = SearchSpace.parse({"a.b": "interval(0, 1)", "a.c": "tag(log, interval(1, 256))"}, [])
    queue = open_queue(tmp_path, load("qmc"), space, n_trials=18)
    enqueue(queue, {"a.b": 0.5, "a.c": 1.0})
    for _ in range(18):
        claim = queue.claim(never)
        if claim.trial.user_attrs.get("role") == "balanced":
            queue.study.sampler = FixedSampler({"a.b": 0.5, "a.c": 2.0})
        draw(queue, space, claim)
        if claim.trial.number % 2:  # the others are still being trained
            queue.study.tell(claim.trial, 1.0)
    cells = {
        (int(4 * t.params["a.b"]), int(math.log2(t.params["a.c"]) / 2)) for t in queue.trials()[2:]
    }
    assert len(cells) == 16


def test_no_sampler_of_conf_warns(tmp_path):
    space = SearchSpace.parse(FINITE, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in SAMPLERS:
            assert isinstance(make_sampler(load(name), space, seed=0, number=0),
                              optuna.samplers.BaseSampler)  # fmt: skip


@pytest.mark.parametrize("minimize", [(SCORE,), ("energy", "forces")])
def test_tpe_draws_alike_in_a_study_that_stays_open_and_in_one_opened_anew(tmp_path, minimize):
    """What its samplers share changes no number."""
    space = SearchSpace.parse(CONTINUOUS, [])
    drawn = []
    for name, anew in (("kept", False), ("anew", True)):
        queue = open_queue(tmp_path / name, load("tpe"), space, n_trials=25, minimize=minimize)
        enqueue(queue, DEFAULT)
        while not queue.is_done():
            work(queue, space, most=1, n_objectives=len(minimize))
            if anew:
                queue = open_queue(
                    tmp_path / name, load("tpe"), space, n_trials=25, minimize=minimize
                )
        drawn.append(points(queue))
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 20
