"""A study whose objective changes: Optuna is told its trials anew, under their numbers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from sweep.errors import InputError, SweepError
from sweep.records import Study
from sweep.records.objective import Objective
from sweep.records.study_record import StudyRecord
from sweep.search.objectives import Objectives
from sweep.study.definition import claim_study
from sweep.study.queue import TrialQueue
from sweep.study.rejudging import judge_again
from sweep.study.storage import GOES_ON_AS, names_of, open_storage, open_study

KEY = "loss.esps.weight"
SPACE = {KEY: FloatDistribution(0.1, 100.0, log=True)}
SCALES = {"energy": 0.003, "forces": 0.25}
OLD = Objective(("energy", "forces"))


def spec_of(folder, objective, **more):
    """What is needed of a spec, and its record."""
    spec = SimpleNamespace(
        folder=folder, name="mine", storage_url=None, objective=objective,
        objectives=Objectives.of(objective), **more,
    )  # fmt: skip
    flat = {f"objective.{key}": value for key, value in objective.as_json().items()}
    return spec, StudyRecord("mine", objective, definition={"seed": 0, **flat})


def queue_of(spec):
    study = open_study(spec.folder, "mine", n_objectives=len(spec.objective.minimize))
    return TrialQueue(
        study, spec.folder, optuna.samplers.RandomSampler, n_trials=9, max_failure_rate=1.0
    )


def go_on(folder, objective):
    """The trials of the study under another objective."""
    spec, record = spec_of(folder, objective)
    assert judge_again(spec, record) is not None
    queue = queue_of(spec)
    assert claim_study(queue, record, folder, alone=True)
    return queue.trials()


@pytest.fixture
def study(study_folder, make_trial, tmp_path):
    """Default, balanced, a better, a pruned, a failed, a left and an enqueued trial."""
    for path in sorted(tmp_path.glob("trials/*/trial.json")):
        content = Study.read(tmp_path)[int(path.parent.name)]
        make_trial(
            content.number, role=content.role, state=content.state, score=content.score,
            factor=(content.score or 0.2) / 0.2, metrics=content.results, scales=SCALES,
        )  # fmt: skip
    spec, record = spec_of(tmp_path, OLD)
    queue = queue_of(spec)
    states = {3: TrialState.PRUNED, 4: TrialState.FAIL, 5: TrialState.RUNNING}
    for trial in Study.read(tmp_path):
        state = states.get(trial.number, TrialState.COMPLETE)
        queue.study.add_trial(
            create_trial(
                state=state, value=trial.score if state == TrialState.COMPLETE else None,
                params={KEY: 2.0 + trial.number}, distributions=SPACE,
                user_attrs={"score": trial.score, "role": trial.role},
                system_attrs={"cma:0": "old", "dashboard:note": "mine"},
                intermediate_values={0: 7.0} if state == TrialState.RUNNING else {0: 7.0, 1: 7.0},
            )
        )  # fmt: skip
    queue.study.enqueue_trial({KEY: 50.0}, user_attrs={"role": None})
    assert claim_study(queue, record, tmp_path, alone=True)
    return queue


def test_every_trial_is_told_again_under_its_number(study, tmp_path):
    told = go_on(tmp_path, Objective(("forces",), constraints={"energy": 0.9}))
    before = study.trials()
    assert [t.state for t in told] == [t.state for t in before]
    assert [t.params for t in told] == [t.params for t in before]
    assert [t.datetime_start for t in told] == [t.datetime_start for t in before]
    assert [t.user_attrs.get("role") for t in told] == ["default", "balanced", *5 * [None]]
    forces = [0.05, 0.04, 0.025, 0.005]
    assert [t.user_attrs["score"] for t in told[:4]] == pytest.approx([f / 0.25 for f in forces])
    assert [t.value for t in told[:3]] == [t.user_attrs["score"] for t in told[:3]]
    assert [t.constraints["energy"] for t in told[:4]] == pytest.approx([0.1, -0.1, -0.4, -0.8])
    assert [t.user_attrs["feasible"] for t in told[:4]] == [False, True, True, True]
    assert told[2].intermediate_values == pytest.approx({0: 0.1, 1: 0.1})
    assert told[5].intermediate_values.keys() == {0}
    assert told[6].system_attrs == {"fixed_params": {KEY: 50.0}}
    assert "cma:0" not in told[0].system_attrs
    assert told[0].system_attrs["dashboard:note"] == "mine"
    assert Study.read(tmp_path).best.number == 2
    assert Study.read(tmp_path).objective.metrics == ("forces",)


def test_several_objectives_and_back(study, tmp_path):
    told = go_on(tmp_path, Objective(("energy", "forces"), minimize=("energy", "forces")))
    expected = [[0.0015, 0.05], [0.0012, 0.04], [0.00075, 0.025]]
    assert [t.values for t in told[:3]] == [pytest.approx(values) for values in expected]
    told = go_on(tmp_path, Objective(("energy", "forces"), statistic="mae"))
    assert told[0].value == pytest.approx(math.sqrt(0.001 / 0.003 * 0.04 / 0.25))
    told = go_on(tmp_path, OLD)
    assert told[0].value == 0.2  # as it was recorded
    storage = open_storage(None, tmp_path)
    assert names_of(storage, "mine") == ["mine", *(f"mine.objective{i}" for i in (1, 2, 3))]


def test_nothing_else_may_differ(study, tmp_path):
    spec, record = spec_of(tmp_path, Objective(("forces",)))
    other = StudyRecord("mine", record.objective, definition={**record.definition, "seed": 1})
    assert judge_again(spec, other) is None
    last = Objective(("energy", "forces"), epoch="last")  # other parameters were kept then
    assert judge_again(*spec_of(tmp_path, last)) is None
    assert judge_again(*spec_of(tmp_path, OLD)) is None
    assert judge_again(*spec_of(tmp_path / "new", OLD)) is None
    with pytest.raises(InputError, match=r"objective\.epoch: best -> last"):
        claim_study(study, spec_of(tmp_path, last)[1], tmp_path, alone=True)


def test_a_trial_that_is_being_trained_keeps_the_objective(study, tmp_path):
    lease = study.lease(5)
    with pytest.raises(InputError, match="trial 5 is being trained under another objective"):
        go_on(tmp_path, Objective(("forces",)))
    lease.release()
    assert len(go_on(tmp_path, Objective(("forces",)))) == 7


def test_a_worker_of_the_old_objective_ends(study, tmp_path):
    go_on(tmp_path, Objective(("forces",)))
    with pytest.raises(SweepError, match="goes on under another objective"):
        study.claim(lambda: False)


def test_what_was_left_half_made_is_made_again(study, tmp_path):
    storage = open_storage(None, tmp_path)
    half = optuna.create_study(study_name="mine.objective1", storage=storage)
    half.ask()
    assert len(go_on(tmp_path, Objective(("forces",)))) == 7
    assert study.study.user_attrs[GOES_ON_AS] == "mine.objective1"


def test_what_cannot_be_judged_is_said_and_nothing_changes(study, tmp_path):
    with pytest.raises(InputError, match=r"trials/0000: has no validation error of dipole"):
        go_on(tmp_path, Objective(("dipole",)))
    (tmp_path / "trials" / "0001" / "trial.json").write_text("")
    with pytest.raises(InputError, match=r"0001/trial\.json.*run the search with the old one"):
        go_on(tmp_path, Objective(("forces",)))
    assert names_of(open_storage(None, tmp_path), "mine") == ["mine"]
    assert GOES_ON_AS not in study.study.user_attrs
