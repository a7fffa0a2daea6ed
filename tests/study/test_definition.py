"""Two definitions are never mixed in one study; the message says what differs."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from sweep.errors import InputError
from sweep.files import write_json
from sweep.records.objective import Objective
from sweep.records.study_record import StudyRecord
from sweep.search.dimensions import to_dimension
from sweep.search.space import SearchSpace
from sweep.study.definition import changes, claim_study, definition
from sweep.study.queue import TrialQueue
from sweep.study.spec import without_hydra
from sweep.study.storage import open_study

SPACE = {"loss.forces.weight": "tag(log, interval(1, 1000))"}


def record_of(cfg, space):
    objective = Objective(("energy",))
    dimensions = {key: to_dimension(dist) for key, dist in space.distributions.items()}
    return StudyRecord("mine", objective, dimensions, definition(cfg, space), "Sampler", "Pruner")


def defined(load_config, *overrides, params=SPACE):
    return record_of(load_config(*overrides), SearchSpace.parse(params, []))


def queue_of(study, folder):
    return TrialQueue(
        study, folder, optuna.samplers.RandomSampler, n_trials=9, max_failure_rate=1.0
    )


@pytest.fixture
def study(tmp_path):
    """A study that has begun its first trial."""
    study = optuna.create_study()
    study.ask()
    return queue_of(study, tmp_path)


@pytest.fixture
def outputs(folder):
    """The folder of the study."""
    return Path("outputs/mine")


def test_the_same_again_is_accepted(study, outputs, load_config):
    claim_study(study, defined(load_config), outputs, alone=True)
    claim_study(study, defined(load_config), outputs, alone=True)


def test_where_it_runs_may_change(study, outputs, load_config):
    claim_study(study, defined(load_config), outputs, alone=True)
    other = ["trainer.device=cuda:1", "trainer.num_threads=4", "search.confirm.top=2"]
    claim_study(study, defined(load_config, *other), outputs, alone=True)


@pytest.mark.parametrize(
    ("overrides", "params", "parts"),
    [
        ([], {"loss.forces.weight": "tag(log, interval(1, 500))"},
         ["search loss.forces.weight", "interval(1.0, 1000.0)", "interval(1.0, 500.0)"]),
        ([], {**SPACE, "loss.dipole_per_atom.weight": "interval(0, 300)"},
         ["search loss.dipole_per_atom.weight: (none) -> interval(0.0, 300.0)"]),
        (["loss.forces.weight=50"], SPACE, ["default loss.forces.weight: 100.0 -> 50"]),
        (["trainer.batch_size=3"], SPACE, ["trainer.batch_size: 10 -> 3"]),
        (["model.r_max=6.0"], SPACE, ["model.r_max: 5.0 -> 6.0"]),
        (["train_schedule.0.lr=0.5"], SPACE, ["train_schedule.0.lr: 0.01 -> 0.5"]),
        (["seed=4", "objective=esp"], SPACE, ["seed: 0 -> 4", "objective.metrics: "]),
        (["loss=[forces,esps]"], SPACE, ["loss.esps.weight: (none) -> 1.0"]),
        (["+heads.water_clusters.config_type_weights={water_2: 3}"], SPACE,
         ["heads.water_clusters.config_type_weights.water_2: (none) -> 3.0"]),
    ],
)  # fmt: skip
def test_another_definition_is_refused(study, outputs, load_config, overrides, params, parts):
    claim_study(study, defined(load_config), outputs, alone=True)
    with pytest.raises(InputError, match=r"^outputs/mine: .*hydra\.sweeper\.study_name$") as caught:
        claim_study(study, defined(load_config, *overrides, params=params), outputs, alone=True)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_that_came_later_are_no_part_while_they_are_as_before(load_config):
    """So studies of older versions go on."""
    flat = defined(load_config).definition
    later = (".config_type_weights", ".beta", ".patience", ".eval_interval")
    assert not [key for key in flat if key.endswith(later)]
    other = defined(load_config, "trainer.patience=9", "trainer.eval_interval=2").definition
    assert changes(flat, other) == (
        "trainer.eval_interval: (none) -> 2; trainer.patience: (none) -> 9"
    )


def test_other_data_under_the_same_name_are_another_definition(study, outputs, load_config, folder):
    overrides = ["data=extxyz", "heads.default.train_file=water.xyz", "heads.default.E0s=average"]
    claim_study(study, defined(load_config, *overrides), outputs, alone=True)
    path = folder / "water.xyz"
    path.write_text(path.read_text().replace("0.8", "0.9"))
    with pytest.raises(InputError, match=r"heads\.default\.train_file"):
        claim_study(study, defined(load_config, *overrides), outputs, alone=True)


def test_paths_that_mean_the_same_file_are_one_definition(study, outputs, load_config, folder):
    own = ["data=extxyz", "heads.default.E0s=average"]
    paths = ["water.xyz", str(folder / "water.xyz"), "../" + folder.name + "/water.xyz"]
    for path in paths:
        record = defined(load_config, *own, f"heads.default.train_file={path}")
        assert claim_study(study, record, outputs, alone=True)
    record = defined(load_config, *own, "heads.default.train_file=argon.xyz")
    with pytest.raises(InputError, match=r"content of heads\.default\.train_file"):
        claim_study(study, record, outputs, alone=True)


def test_version_0_1_split_by_the_seed(load_config, folder):
    files = ["data=extxyz", "heads.default.train_file=water.xyz", "seed=3"]
    for valid, differ in ((None, "split_seed: 3 -> 0"), ("argon.xyz", "")):
        given = [*files, *([f"heads.default.valid_file={valid}"] if valid else [])]
        old = dict(defined(load_config, *given).definition)
        del old["split_seed"]
        assert changes(old, defined(load_config, *given).definition) == differ
        assert changes(old, defined(load_config, *given, "split_seed=3").definition) == ""


def test_an_attempt_that_began_no_trial_binds_nobody_but_those_who_have_it_open(
    outputs, load_config
):
    queue = queue_of(optuna.create_study(), outputs)
    one, other = (defined(load_config, f"seed={seed}") for seed in (1, 2))
    assert claim_study(queue, one, outputs, alone=True)
    queue.study.enqueue_trial({})
    assert claim_study(queue, one, outputs, alone=True)
    assert not claim_study(queue, other, outputs, alone=True)
    with pytest.raises(InputError, match="seed: 1 -> 2"):
        claim_study(queue, other, outputs, alone=False)
    queue.study.ask()
    with pytest.raises(InputError, match="seed: 1 -> 2"):
        claim_study(queue, other, outputs, alone=True)


@pytest.fixture
def finished_study(load_config, folder):
    """The study of ``+experiment=smoke -m`` with one complete trial, as the sweeper makes it."""
    cfg = load_config("+experiment=smoke", hydra=True)
    sweeper, base = cfg.hydra.sweeper, without_hydra(cfg)
    space = SearchSpace.parse(OmegaConf.to_container(sweeper.params), [])
    study = open_study(folder / "outputs" / "smoke", "smoke")
    params = space.defaults(base)
    trial = optuna.trial.create_trial(
        value=1.0,
        params=params,
        distributions=dict(space.distributions),
        user_attrs={"role": "default", "score": 1.0},
    )
    study.add_trial(trial)
    write_json(
        folder / "outputs" / "smoke" / "trials" / "0000" / "trial.json",
        {"number": 0, "state": "COMPLETE", "score": 1.0, "params": params},
    )
    queue = queue_of(study, folder / "outputs" / "smoke")
    claim_study(queue, record_of(base, space), folder / "outputs" / "smoke", alone=True)
    return ["+experiment=smoke", "-m", "hydra.sweeper.n_trials=1"]


def test_the_command_finds_its_own_study_again(command, finished_study):
    result = command(*finished_study)
    assert (result.status, result.err) == (0, "")
    assert "study smoke" in result.out


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("loss.esps.weight=tag(log, interval(0.5, 2))",
         ["search loss.esps.weight", "interval(0.5, 2.0)"]),
        ("loss.forces.weight=interval(1, 1000)", ["search loss.forces.weight: (none) -> "]),
        ("loss.esps.weight=1.5", ["search loss.esps.weight: ", "-> (none)"]),
        ("model.r_max=3.5", ["model.r_max: ", "-> 3.5"]),
    ],
)  # fmt: skip
def test_the_command_refuses_the_study_of_another(command, finished_study, override, parts):
    result = command(*finished_study, override)
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith("error: outputs/smoke: holds a study with another definition")
    for part in parts:
        assert part in line


def test_a_study_of_a_database_belongs_to_one_folder(study, outputs, folder, load_config):
    claim_study(study, defined(load_config), outputs, alone=True)
    with pytest.raises(InputError, match=r"hydra\.sweeper\.storage.*outputs/mine.*study_name"):
        claim_study(study, defined(load_config), Path("outputs/theirs"), alone=True)
    outputs.rename("outputs/moved")
    claim_study(study, defined(load_config), Path("outputs/moved"), alone=True)


def test_what_a_study_is_is_written_when_it_begins(study, outputs, load_config):
    record = defined(load_config)
    claim_study(study, record, outputs, alone=True)
    assert StudyRecord.read(outputs) == record


def test_a_study_of_an_older_version_gets_its_record(study, outputs, load_config):
    record = defined(load_config)
    claim_study(study, record, outputs, alone=True)
    (outputs / "study.json").unlink()
    claim_study(study, record, outputs, alone=True)
    there = StudyRecord.read(outputs)
    began = study.trials()[0].datetime_start
    assert datetime.fromisoformat(there.created) == began.astimezone(UTC).replace(microsecond=0)
    assert replace(there, created=record.created) == record
    (outputs / "study.json").write_text("{")
    claim_study(study, record, outputs, alone=True)
    assert StudyRecord.read(outputs) == there


def test_the_record_follows_the_sampler_and_keeps_its_date(study, outputs, load_config):
    record = replace(defined(load_config), created="2026-01-01T00:00:00+00:00")
    claim_study(study, record, outputs, alone=True)
    claim_study(study, replace(defined(load_config), sampler="Other"), outputs, alone=True)
    assert StudyRecord.read(outputs) == replace(record, sampler="Other")


def test_one_that_is_refused_leaves_the_record_as_it_was(study, outputs, load_config):
    record = defined(load_config)
    claim_study(study, record, outputs, alone=True)
    with pytest.raises(InputError):
        claim_study(study, defined(load_config, "seed=4"), outputs, alone=True)
    assert StudyRecord.read(outputs) == record


@pytest.mark.parametrize("journal", [True, False])
def test_without_its_locks_a_study_still_belongs_to_its_folder(
    study, outputs, load_config, journal
):
    claim_study(study, defined(load_config), outputs, alone=True)
    if journal:
        (outputs / "study.journal").touch()
        (outputs / "study_id").unlink()  # as in a study of version 0.1
    shutil.rmtree(outputs / "locks", ignore_errors=True)
    assert claim_study(study, defined(load_config), outputs, alone=True)


def test_a_study_of_version_0_1_knows_its_folder(study, outputs, load_config):
    claim_study(study, defined(load_config), outputs, alone=True)
    (outputs / "locks").mkdir()
    (outputs / "study_id").rename(outputs / "locks" / "study_id")
    assert claim_study(study, defined(load_config), outputs, alone=True)
    shutil.rmtree(outputs / "locks")
    assert claim_study(study, defined(load_config), outputs, alone=True)
