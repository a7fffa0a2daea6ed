"""Which trainings of another study are the same, and which of them lie in a search space."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import optuna
import pytest
from omegaconf import OmegaConf

from sweep.errors import InputError
from sweep.files import write_json
from sweep.records.objective import Objective
from sweep.records.study_record import StudyRecord
from sweep.search.space import SearchSpace
from sweep.study.definition import definition
from sweep.study.queue import TrialQueue
from sweep.study.reuse import Reusable, check_reuse, enqueue_reusable
from sweep.study.spec import without_hydra
from sweep.study.storage import open_study

PARAMS = {"loss.forces.weight": "tag(log, interval(1, 1000))"}
SMOKE = "+experiment=smoke"


@pytest.fixture
def spec_of(load_config, folder):
    """A study as a configuration describes it, that may take over trials of ``outputs/other``."""

    def make(*overrides, params=PARAMS, n_trials=9):
        template = load_config(SMOKE, *overrides, hydra=True)
        base = without_hydra(template)
        objective = Objective.read(OmegaConf.to_container(base.objective))
        return SimpleNamespace(
            name="mine", folder=folder / "outputs" / "mine", template=template, base=base,
            space=SearchSpace.parse(params, []), objective=objective, n_trials=n_trials,
            reuse=(folder / "outputs" / "other",),
        )  # fmt: skip

    return make


@pytest.fixture
def other(load_config, folder):
    """A study of trials with these weights of the forces, each with its configuration."""
    study = folder / "outputs" / "other"

    def trial(number, weight, *overrides, subdir="trials", **content):
        cfg = load_config(SMOKE, f"loss.forces.weight={weight}", *overrides)
        path = study / subdir / (f"{number:04d}" if subdir == "trials" else f"{number:04d}-seed1")
        (path / ".hydra").mkdir(parents=True)
        OmegaConf.save(cfg, path / ".hydra" / "config.yaml")
        scales = {"energy": 1.0, "forces": 1.0, "dipole": 1.0, "esps": 1.0}
        errors = {f"rmse_{name}": 0.1 for name in scales}
        write_json(
            path / "trial.json",
            {"number": number, "state": "COMPLETE", "score": 0.1, "epoch": 1, "scales": scales,
             "objective": OmegaConf.to_container(cfg.objective),
             "metrics": {"valid": errors, "test": errors}, **content},
        )  # fmt: skip

    trial(0, 100.0, role="default")
    trial(1, 200.0, role="balanced")
    trial(2, 30)  # an integer, which is the same as 30.0
    trial(3, 3000.0)
    trial(4, 40.0, "seed=5")
    trial(5, 50.0, state="PRUNED")
    trial(6, 30.0, same_as=2)
    trial(7, 70.0)
    trial(0, 100.0, "seed=1", subdir="confirm")
    base = load_config(SMOKE)
    space = SearchSpace.parse(PARAMS, [])
    objective = Objective.read(OmegaConf.to_container(base.objective))
    StudyRecord("other", objective, definition=definition(base, space)).write(study)
    return study


def queue_of(spec):
    study = open_study(spec.folder, "mine")
    return TrialQueue(
        study, spec.folder, optuna.samplers.RandomSampler, n_trials=9, max_failure_rate=1.0
    )


def enqueued(queue):
    return [trial.system_attrs["fixed_params"]["loss.forces.weight"] for trial in queue.trials()]


def test_the_same_training_is_found_whatever_it_was_judged_by(spec_of, other):
    spec = spec_of("objective.metrics=[forces]", "fit_name=mine", "trainer.num_threads=3")
    reusable = Reusable(spec)
    assert reusable.folder_for(spec.base) == other / "trials" / "0000"
    again = spec_of("seed=1").base
    assert reusable.folder_for(again) == other / "confirm" / "0000-seed1"


@pytest.mark.parametrize(
    "override",
    [
        "loss.forces.weight=101", "model.r_max=3.5", "trainer.batch_size=3", "seed=2",
        "train_schedule.0.lr=0.5", "objective.epoch=last", "weighting=gradient_shares",
        "loss.dipole_per_atom.weight=0", "split_seed=1", "trainer.patience=9",
        "trainer.eval_interval=2", "+heads.water_clusters.config_type_weights={water_2: 3}",
    ],
)  # fmt: skip
def test_what_changes_a_training_makes_it_another(spec_of, other, override):
    spec = spec_of(override)
    assert Reusable(spec).folder_for(spec.base) is None


def test_the_score_that_ends_a_training_is_part_of_it(spec_of, other):
    def key(*overrides):
        spec = spec_of(*overrides)
        return Reusable(spec).key(spec.base)

    forces = "objective.metrics=[forces]"
    assert key(forces) == key()
    assert key(forces, "trainer.patience=9") != key("trainer.patience=9")


def test_other_data_make_it_another(spec_of, other, folder):
    files = [f"heads.water_clusters.{split}_file=water.xyz" for split in ("train", "valid", "test")]
    spec = spec_of(*files)
    assert Reusable(spec).folder_for(spec.base) is None


def test_trials_in_the_search_space_become_trials(spec_of, other):
    spec = spec_of()
    queue = queue_of(spec)
    # Not the default, the balanced, the pruned one, the copy, another seed, or out of the range.
    assert enqueue_reusable(spec, queue) == 2
    assert enqueued(queue) == [30.0, 70.0]
    assert enqueue_reusable(spec, queue) == 0  # run again
    assert enqueue_reusable(spec_of(n_trials=1), queue) == 0


def test_no_more_than_there_is_room_for(spec_of, other):
    spec = spec_of(n_trials=1)
    assert enqueue_reusable(spec, queue_of(spec)) == 1


def test_a_trial_that_lacks_the_metric_is_not_taken_over(spec_of, other):
    spec = spec_of("objective.metrics=[atomic_multipoles]")
    assert Reusable(spec).found == {}


def test_a_study_that_does_not_tell_its_data_is_refused(spec_of, other):
    spec = spec_of()
    check_reuse(spec)
    (other / "study.json").unlink()
    with pytest.raises(InputError, match=r"hydra\.sweeper\.reuse=.*other: has no study\.json"):
        check_reuse(spec)
    spec.folder = other
    with pytest.raises(InputError, match="is the folder of this study itself"):
        check_reuse(spec)
    shutil.rmtree(other)
    with pytest.raises(InputError, match="other: no such folder"):
        check_reuse(spec)


def test_a_training_that_began_with_another_model_is_another(spec_of, other, folder):
    file = folder / "start.pt"
    file.write_bytes(b"one")
    start = f"model.start_from={file}"
    spec = spec_of(start)
    reusable = Reusable(spec)
    assert reusable.folder_for(spec.base) is None
    key = reusable.key(spec.base)
    file.rename(folder / "moved.pt")
    assert reusable.key(spec_of(start.replace("start.pt", "moved.pt")).base) == key
    (folder / "moved.pt").write_bytes(b"two")
    assert reusable.key(spec_of(start.replace("start.pt", "moved.pt")).base) != key
