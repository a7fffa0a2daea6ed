"""One thing goes wrong at any moment of a search; the same command then does what was asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import faults
import optuna
import pandas as pd
import pytest
from omegaconf import OmegaConf, open_dict, read_write
from optuna.trial import TrialState

from sweep.records import State, load_study
from sweep.records.objective import Objective
from sweep.search.space import SearchSpace
from sweep.study import leases
from sweep.study.history import SURPLUS
from sweep.study.spec import StudySpec, without_hydra
from sweep.study.storage import open_storage
from sweep.study.storage_url import StorageUrl

N_TRIALS, N_EPOCHS = 5, 3
UPPER = 1.57  # score above which a trial is pruned
SPACE = {"loss.esps.weight": "tag(log, interval(0.1, 10))"}


@pytest.fixture(scope="module")
def spec_in(load_config):
    """The same study in any folder."""
    template = load_config("+experiment=smoke", hydra=True)
    space = SearchSpace.parse(SPACE, [])

    def make(folder: Path, url: str | None = None) -> StudySpec:
        own = template.copy()
        with read_write(own), open_dict(own):
            own.hydra.mode = "MULTIRUN"
            own.hydra.sweep.dir = str(folder)
        objective = Objective.read(OmegaConf.to_container(own.objective, resolve=True))
        assert objective is not None
        return StudySpec(
            name="study",
            folder=folder,
            space=space,
            template=own,
            objective=objective,
            confirm=None,
            sampler=OmegaConf.create({"_target_": "optuna.samplers.RandomSampler"}),
            pruner=OmegaConf.create({"_target_": "optuna.pruners.ThresholdPruner", "upper": UPPER}),
            storage=None if url is None else StorageUrl(url),
            n_trials=N_TRIALS,
            max_failure_rate=0.0,
        )

    assert without_hydra(template).train_schedule["1"].end == N_EPOCHS - 1
    return make


def told(spec: StudySpec) -> dict[int, tuple[TrialState, float | None]]:
    """What Optuna says of the trials that ended; those too many that two nodes began left out."""
    if spec.storage is None and not (spec.folder / "study.journal").exists():
        return {}
    storage = open_storage(spec.storage_url, spec.folder)
    studies = storage.get_all_studies()
    trials = storage.get_all_trials(studies[0]._study_id) if studies else []
    if spec.storage is not None:
        storage._backend.engine.dispose()
    return {
        t.number: (t.state, t.value)
        for t in trials
        if t.state.is_finished() and SURPLUS not in t.user_attrs
    }


def check(spec: StudySpec) -> None:
    """Exactly what was asked for, and the right answer."""
    folder, results = spec.folder, told(spec)
    assert list(results) == list(range(N_TRIALS))
    study = load_study(folder)
    assert not study.unreadable
    assert [trial.number for trial in study] == list(range(N_TRIALS))
    for trial in study:
        state, value = results[trial.number]
        assert str(trial.state) == state.name
        weight = float(trial.stages[0].loss["esps"]["weight"])
        if trial.params:
            assert trial.params["loss.esps.weight"] == weight
        assert trial.score == faults.score(weight, trial.epoch)
        bad = trial.role is None and faults.score(weight, 0) > UPPER
        assert trial.state is (State.PRUNED if bad else State.COMPLETE)
        assert len(trial.steps()) == faults.STEPS * (trial.epoch + 1)
        assert len(trial.metrics()) == trial.epoch + 1
        if trial.state is State.COMPLETE:
            assert value == trial.score
            assert trial.epoch == N_EPOCHS - 1
    assert study.best.score == min(trial.score for trial in study.complete)
    # Who was late may have been overtaken, and the static copy has another number then.
    assert {"default", "balanced"} <= {trial.role for trial in study}


def ended(pid: int) -> int:
    """Wait for a process; returns its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def elsewhere(spec: StudySpec) -> None:
    """The same command on another node, which does not see this one's locks and is impatient."""

    def act() -> None:
        leases.node = lambda: "another node"
        leases.fcntl.flock = lambda *_: None
        leases.Leases.__init__.__kwdefaults__ = {"grace_seconds": 0.0}
        faults.command(spec)

    assert ended(faults.forked(act)) == 0


def endure(spec: StudySpec, kind: str, at: int, beside: Path) -> None:
    """Bring the fault, give the same command again, and look at what is there."""
    if spec.folder.exists():
        shutil.rmtree(spec.folder)
    beside.mkdir(parents=True)
    status, _ = faults.search_with(spec, kind, at, beside, lambda: elsewhere(spec))
    if status == faults.POWER:
        shutil.rmtree(spec.folder)
        (beside / "disk").rename(spec.folder)
    before = told(spec)
    again = ended(faults.forked(lambda: faults.command(spec)))
    assert again == 0, f"{kind} at {at}: the command does not recover"
    check(spec)
    after = told(spec)
    assert before.items() <= after.items()
    none = {0} if spec.storage is not None else set()  # without a journal there are fewer events
    assert status in KINDS[kind] | none, f"{kind} at {at}: {status}"


KINDS = {
    "fail": {0, faults.FAILED},  # that a lock cannot be given back, say, stops nobody
    "stop": {faults.KILLED},
    "lose names": {faults.POWER},
    "lose contents": {faults.POWER},
    "lease": {0},  # it sees that, and goes on with the next trial
    "stand still": {0, faults.FAILED},
}


@pytest.fixture(scope="module")
def events(spec_in, tmp_path_factory) -> list[str]:
    """What happens in a search without faults."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    beside = tmp_path_factory.mktemp("beside")
    spec = spec_in(tmp_path_factory.mktemp("whole") / "study")
    status, seen = faults.search_with(spec, "none", -1, beside, lambda: None)
    assert status == 0
    check(spec)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_some_events(spec_in, events, tmp_path, kind):
    first_tell = next(i for i, event in enumerate(events) if event.startswith("tell"))
    for at in {first_tell, *range(list(KINDS).index(kind), len(events), 97)}:
        endure(spec_in(tmp_path / "study"), kind, at, tmp_path / f"{kind} {at}")


@pytest.mark.parametrize("name", ["breakdown.parquet", "metrics.parquet"])
def test_an_old_table_over_the_last_one_is_seen(spec_in, tmp_path, name):
    """As a worker leaves it that stood still in the middle of a rename."""
    spec = spec_in(tmp_path / "study")
    assert ended(faults.forked(lambda: faults.command(spec))) == 0
    path = spec.folder / "trials" / "0003" / name
    table = pd.read_parquet(path)
    table[table["epoch"] == 0].to_parquet(path)
    assert ended(faults.forked(lambda: faults.command(spec))) == 0
    check(spec)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_every_event(spec_in, events, tmp_path, kind, pytestconfig):
    step = pytestconfig.getoption("--fault-steps")
    for at in range(list(KINDS).index(kind) % step, len(events), step):
        endure(spec_in(tmp_path / "study"), kind, at, tmp_path / f"{kind} {at}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fail", "stop", "lease", "stand still"])
def test_a_fault_with_a_database(spec_in, events, tmp_path, postgresql, kind, pytestconfig):
    for at in range(0, len(events), 7 * pytestconfig.getoption("--fault-steps")):
        url = postgresql.create(f"{kind} {at}")
        endure(spec_in(tmp_path / "study", url), kind, at, tmp_path / f"{kind} {at}")
