"""Pareto fronts of any number of objectives, their knees, and the front of a study."""

from pathlib import Path

import numpy as np
import pytest

from sweep.records import Objective, State, Study, Trial
from sweep.records.front import knee, pareto_indices


def test_a_front_by_hand():
    x = np.array([1.0, 2.0, 2.0, 3.0, 0.5, np.nan])
    y = np.array([5.0, 3.0, 4.0, 3.0, 9.0, 0.0])
    assert pareto_indices(x, y) == [4, 0, 1]


def test_every_point_is_on_the_front_or_beaten():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 200)).round(2)  # with ties
    front = pareto_indices(x, y)
    beaten = [
        any((x[j] <= x[i]) & (y[j] <= y[i]) & ((x[j] < x[i]) | (y[j] < y[i])) for j in range(200))
        for i in range(200)
    ]
    assert not any(beaten[i] for i in front)
    points = {(x[i], y[i]) for i in front}
    assert all(beaten[i] or (x[i], y[i]) in points for i in range(200))
    assert (np.diff(x[front]) > 0).all()
    assert (np.diff(y[front]) < 0).all()


def test_the_knee_of_a_bent_front():
    assert knee(np.array([0.0, 1.0, 10.0]), np.array([10.0, 1.0, 0.0])) == 1
    x = np.linspace(0.1, 1, 50)
    assert x[knee(x, 0.1 / x)] == pytest.approx(np.sqrt(0.1), abs=0.02)
    # Units do not move it.
    assert knee(1000 * x, 0.1 / x) == knee(x, 0.1 / x)


@pytest.mark.parametrize(
    ("x", "y"),
    [([], []), ([1.0], [1.0]), ([1.0, 2.0], [2.0, 1.0]), ([1.0, 2.0, 3.0], [3.0, 2.9, 1.0])],
    ids=["empty", "one", "two", "bulging"],
)
def test_fronts_without_a_knee(x, y):
    assert knee(np.array(x), np.array(y)) is None


def test_three_objectives():
    points = np.array([[1, 9, 9], [9, 1, 9], [9, 9, 1], [2, 2, 2], [3, 3, 3], [1, 9, 9]], float)
    front = pareto_indices(*points.T)
    assert front == [0, 3, 1, 2] or front == [0, 3, 2, 1]
    assert front[knee(*points[front].T)] == 3
    assert knee(*points[:3].T) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_objectives", [2, 3])
def test_the_answer_is_beaten_by_no_other_trial(seed, n_objectives):
    """Whatever the scores, with or without a knee, with trials that break a constraint."""
    rng = np.random.default_rng(seed)
    minimize = ("energy", "forces", "dipole")[:n_objectives]
    objective = Objective(("energy",), minimize=minimize, constraints={"energy": 2.0})
    trials = [
        Trial(
            Path(str(n)), n, State.COMPLETE, score=float(rng.random()), objective=objective,
            role=None if n else "default",
            results={"valid": {f"rmse_{name}": float(rng.random()) for name in minimize}},
        )
        for n in range(int(rng.integers(1, 12)))
    ]  # fmt: skip
    found = Study("mine", Path(), tuple(trials))

    def errors(trial):
        return np.array([trial.errors()[name] for name in minimize])

    for trial in found.feasible:
        if trial is not found.best:
            assert (errors(trial) > errors(found.best)).any()
    assert found.ranked[0] is found.best
    assert found.references[found.best_role] is found.best
    assert (found.best_role == "knee") == (found.front.knee is not None)


STUDY = [(0, 3.0, 3.0), (1, 1.0, 5.0), (2, 5.0, 1.0), (3, 1.5, 1.5), (4, 4.0, 4.0), (5, 0.1, 0.1)]


def study(minimize=("energy", "forces"), constraints=None, lacking=()):
    """Six trials with errors of energy and forces; the last one was pruned."""
    objective = Objective(("energy",), "mae", minimize=minimize, constraints=constraints or {})
    trials = [
        Trial(
            Path(str(n)), n, State.PRUNED if n == 5 else State.COMPLETE, score=energy * forces,
            role="default" if n == 0 else None, objective=objective,
            results={"valid": {"mae_energy": None if n in lacking else energy,
                               "mae_forces": forces, "rmse_energy": 0.0}},
        )
        for n, energy, forces in STUDY
    ]  # fmt: skip
    return Study("mine", Path(), tuple(trials))


def test_the_front_of_a_study_of_two_objectives():
    front = study().front
    assert [trial.number for trial, _ in front.trials] == [1, 3, 2]
    assert [values for _, values in front.trials] == [[1.0, 5.0], [1.5, 1.5], [5.0, 1.0]]
    assert (front.minimize, front.knee.number) == (("energy", "forces"), 3)
    assert study().best.number == 3
    assert [trial.number for trial in study().ranked] == [3, 1, 2, 0, 4]


def test_the_score_may_be_an_objective():
    front = study(minimize=("score", "forces")).front
    assert [(t.number, values[0]) for t, values in front.trials] == [(3, 2.25), (2, 5.0)]
    assert front.knee is None


def test_what_breaks_a_constraint_is_not_on_the_front():
    front = study(constraints={"forces": 1.0}).front
    assert [trial.number for trial, _ in front.trials] == [3, 2]


@pytest.mark.parametrize("minimize", [("score",), ("energy",)])
def test_a_study_of_one_objective_has_no_front(minimize):
    assert study(minimize=minimize).front is None
    assert Study("empty", Path(), ()).front is None


def test_a_trial_that_lacks_an_error_is_left_out():
    assert [trial.number for trial, _ in study(lacking={3}).front.trials] == [1, 0, 2]
