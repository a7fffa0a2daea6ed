"""The trials that every study has, and what of them is a point of its search space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict, read_write
from optuna.trial import TrialState

from sweep.files import write_json
from sweep.records.objective import Objective
from sweep.search.automatic import automatic_params
from sweep.search.outside import OVERRIDES
from sweep.search.recipes import Recipe
from sweep.search.space import SearchSpace
from sweep.study.confirmation import confirmation_phase
from sweep.study.phase import search_phase
from sweep.study.references import enqueue_references
from sweep.study.spec import StudySpec

MOVED = {
    "energy_per_atom": 0.1, "forces": 2.0, "atomic_multipoles": 5.0, "dipole_per_atom": 60.0,
    "total_charge": 0.02, "esps": 0.001,
}  # fmt: skip


@pytest.fixture
def spec(load_config, tmp_path):
    """Makes a study of ``esp_weights`` with these overrides."""

    def make(*overrides: str, params: dict[str, str] | None = None) -> StudySpec:
        cfg = load_config("+experiment=esp_weights", *overrides, hydra=True)
        with read_write(cfg), open_dict(cfg):
            cfg.hydra.mode = "MULTIRUN"
            cfg.hydra.sweep.dir = str(tmp_path)
        objective = Objective.read(OmegaConf.to_container(cfg.objective, resolve=True))
        assert objective is not None
        return StudySpec(
            name="study",
            folder=tmp_path,
            space=SearchSpace.parse(params or automatic_params(cfg), []),
            template=cfg,
            objective=objective,
            confirm=None,
            sampler=OmegaConf.create({"_target_": "optuna.samplers.RandomSampler"}),
            pruner=OmegaConf.create({"_target_": "optuna.pruners.NopPruner"}),
            storage=None,
            n_trials=10,
            max_failure_rate=0.0,
        )

    return make


def record(folder: Path, number: int, role: str, last: dict[str, float] = MOVED) -> None:
    """A complete trial with the weights of its two stages."""
    first = {name: 10 * weight for name, weight in last.items()}
    stages = [
        {"loss": {name: {"weight": w} for name, w in weights.items()}} for weights in (first, last)
    ]
    path = folder / "trials" / f"{number:04d}"
    path.mkdir(parents=True)
    write_json(path / "trial.json", {"number": number, "state": "COMPLETE", "score": 0.1 + number,
                                     "role": role, "stages": stages, "params": {}})  # fmt: skip


def roles(queue):
    return {t.user_attrs.get("role"): t for t in queue.trials()}


def complete(queue, spec, n_trials=2):
    """Train as many trials as a worker would."""
    for _ in range(n_trials):
        handle = queue.claim(lambda: False)
        training = search_phase(spec, queue).training_of(handle.trial)
        record(spec.folder, training.number, training.role)
        queue.study.tell(handle.trial, 1.0)
        handle.lease.release()


def test_a_search_of_shares(spec):
    study = spec()
    queue = study.open()
    enqueue_references(study, queue)
    found = roles(queue)
    assert found["default"].user_attrs[OVERRIDES] == {"weighting.name": "fixed"}
    assert OVERRIDES not in found["balanced"].user_attrs
    complete(queue, study)
    for _ in range(2):  # the second time there is nothing left to do
        enqueue_references(study, queue)
    found = roles(queue)
    assert list(found) == ["default", "balanced", "static"]
    overrides = found["static"].user_attrs[OVERRIDES]
    assert overrides["weighting.name"] == "fixed"
    assert {key.split(".")[1]: value for key, value in overrides.items()
            if key.startswith("loss.")} == MOVED  # fmt: skip


@pytest.mark.parametrize("lowest", [1e-9, 0.1])
def test_a_search_of_weights(spec, lowest):
    """The static copy is scaled; if a range does not hold it, it is no point of the space."""
    space = {
        "loss.energy_per_atom.weight": "tag(log, interval(1, 1000))",
        "loss.esps.weight": f"tag(log, interval({lowest}, 100))",
    }
    study = spec("weighting=fixed", params=space)
    queue = study.open()
    enqueue_references(study, queue)
    assert OVERRIDES not in roles(queue)["default"].user_attrs
    assert roles(queue)["balanced"].user_attrs[OVERRIDES] == {"weighting.name": "gradient_shares"}
    complete(queue, study)
    enqueue_references(study, queue)
    handle = queue.claim(lambda: False)
    fixed = queue.trials()[handle.trial.number].system_attrs["fixed_params"]
    outside = handle.trial.user_attrs.get(OVERRIDES, {})
    weights = outside if lowest == 0.1 else fixed
    assert (fixed if lowest == 0.1 else outside) == {}
    assert weights["loss.energy_per_atom.weight"] == pytest.approx(0.1 * 100 / 2.0)
    assert 1e-9 < weights["loss.esps.weight"] < 0.1


@pytest.mark.parametrize(
    "params",
    [{"trainer.batch_size": "choice(8, 16)"}, {"weighting.name": "choice(fixed, gradient_shares)"}],
)
def test_where_no_weights_are_searched_there_is_only_the_default(spec, params):
    study = spec("weighting=fixed", "search=none", params=params)
    queue = study.open()
    enqueue_references(study, queue)
    assert list(roles(queue)) == ["default"]


def test_recipes_are_trials_outside_the_space(spec):
    recipe = Recipe("mace_mp", {"loss.forces.weight": 100.0, "loss.energy_per_atom.weight": 10.0})
    study = replace(spec(), recipes=(recipe,), n_trials=4)
    queue = study.open()
    assert enqueue_references(study, queue) == []
    assert list(roles(queue)) == ["default", "balanced", "mace_mp"]
    trial = roles(queue)["mace_mp"]
    assert trial.user_attrs[OVERRIDES] == {"weighting.name": "fixed", **recipe.weights}
    training = search_phase(study, queue).training_of(trial)
    assert (training.params, training.role) == ({}, "mace_mp")
    complete(queue, study)
    more = replace(study, recipes=(recipe, replace(recipe, name="own")))
    assert enqueue_references(more, queue) == []  # one that is asked for later has the last place
    assert list(roles(queue)) == ["default", "balanced", "mace_mp", "own"]
    assert enqueue_references(replace(more, recipes=(replace(recipe, name="x"),)), queue) == ["x"]


def test_there_is_no_static_copy_where_there_is_no_room(spec):
    study = replace(spec(), n_trials=2)
    queue = study.open()
    enqueue_references(study, queue)
    complete(queue, study)
    enqueue_references(study, queue)
    assert "static" not in roles(queue)
    more = replace(study, n_trials=3)
    queue = more.open()
    enqueue_references(more, queue)
    assert roles(queue)["static"].state == TrialState.WAITING


def test_a_confirmation_may_be_longer(spec):
    study = spec()
    queue = study.open()
    enqueue_references(study, queue)
    complete(queue, study)
    enqueue_references(study, queue)
    complete(queue, study, 1)
    confirm = OmegaConf.create({"top": 2, "seeds": 2, "length": 10})
    phase = confirmation_phase(replace(study, confirm=confirm), queue)
    trainings = [phase.training_of(trial) for trial in phase.queue.trials()]
    assert [(t.number, t.further["seed"]) for t in trainings] == [
        (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2),
    ]  # fmt: skip
    assert trainings[2].subdir == "confirm/0002-seed1-x10"
    assert trainings[2].what == "trial 2 again with seed 1, 10 times as long"
    further = trainings[2].further
    assert [further[f"train_schedule.{i}.{key}"] for i in (0, 1) for key in ("start", "end")] == [
        0, 179, 180, 269,
    ]  # fmt: skip
    assert further["loss.esps.weight"] == MOVED["esps"]
    assert further["weighting.name"] == "fixed"
    assert "loss.esps.weight" not in trainings[1].further
    again = confirmation_phase(replace(study, confirm=confirm), queue)
    assert len(again.queue.trials()) == 6
    short = OmegaConf.create({"top": 2, "seeds": 2, "length": 1})
    assert len(confirmation_phase(replace(study, confirm=short), queue).queue.trials()) == 12
