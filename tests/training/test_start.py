"""``model.start_from``: what is taken, what is refused, and that a stop changes no number."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.libraries import quiet
from sweep.records.writer import TrialWriter
from sweep.search.space import SearchSpace
from sweep.study.definition import definition
from sweep.training import checkpoint
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.setup import Setup
from sweep.training.start import start_from
from sweep.training.trainer import Decision

SHORT = ["train_schedule.0.end=2", "loss=[energy_per_atom,forces]", "trainer.balance_interval=0"]


@pytest.fixture(scope="module")
def dataset(compose):
    cfg = compose(*SHORT)
    return load(cfg.heads, split_seed=cfg.split_seed)


@pytest.fixture
def train(compose, dataset, tmp_path):
    def run(folder, *overrides, stop_after=None):
        cfg = compose(*SHORT, *overrides)

        def after_epoch(report):
            return Decision.STOP if report.epoch == stop_after else Decision.CONTINUE

        writer = TrialWriter(tmp_path / folder, {"number": 0})
        stages = check_config(cfg)
        return train_trial(OwnTrainer(dataset), cfg, stages, writer, after_epoch)

    return run


@pytest.fixture(scope="module")
def best(compose, dataset, tmp_path_factory):
    """The folder of a trial."""
    folder = tmp_path_factory.mktemp("best")
    cfg = compose(*SHORT, "train_schedule.0.end=0", "objective.metrics=[energy,forces]")
    train_trial(
        OwnTrainer(dataset), cfg, check_config(cfg), TrialWriter(folder, {"number": 0}),
        lambda _: Decision.CONTINUE,
    )  # fmt: skip
    return folder


@pytest.fixture
def mace_file(compose, dataset, tmp_path):
    """A model of mace-torch as it saves them, pickled; and its backbone."""
    setup = Setup(compose("seed=5", "model.max_L=1"), dataset)
    path = tmp_path / "foundation.model"
    return path, setup.model.backbone


def test_a_trial_goes_on_from_the_parameters_of_another_exactly(train, best, tmp_path):
    shutil.copy(best / "best.pt", tmp_path)  # where no trial.json tells the neighbours
    start = f"model.start_from={tmp_path / 'best.pt'}"
    whole = train("whole", start)
    for stop_after in (0, 1, None):
        cut = train("cut", start, stop_after=stop_after)
    assert cut.metrics == whole.metrics
    final = [checkpoint.load(tmp_path / name / "checkpoint.pt") for name in ("whole", "cut")]
    for key, value in final[0]["member"]["model"].items():
        assert torch.equal(value, final[1]["member"]["model"][key]), key
    recorded = json.loads((tmp_path / "cut" / "trial.json").read_text())["start_from"]
    assert recorded["path"] == str(tmp_path / "best.pt")
    assert len(recorded["digest"]) == 64
    assert recorded["new"] == recorded["left"] == 0
    other = train("other")
    assert other.score != whole.score


def test_the_model_of_a_trial_is_taken_whole(compose, dataset, best):
    cfg = compose(*SHORT, "seed=9", f"model.start_from={best / 'best.pt'}")
    own = Setup(cfg, dataset)
    saved = checkpoint.load(best / "best.pt")
    for name, value in own.model.state_dict().items():
        assert torch.equal(value, saved["model"][name]), name
    assert own.avg_num_neighbors == saved["avg_num_neighbors"]


def test_of_a_mace_model_the_backbone_is_taken(compose, dataset, mace_file):
    path, backbone = mace_file
    for block in backbone.interactions:
        block.avg_num_neighbors = 3.25
    with quiet():
        torch.save(backbone, path)
    cfg = compose(f"model.start_from={path}", "model.trust_file=true", "model.MLP_irreps=8x0e")
    setup = Setup(cfg, dataset)
    found = setup.model.state_dict()
    for name, value in backbone.named_parameters():
        if not name.startswith("readouts.1"):
            assert torch.equal(found[f"backbone.{name}"], value), name
    assert all(b.avg_num_neighbors == 3.25 for b in setup.model.backbone.interactions)
    assert any(name.startswith("backbone.readouts.1") for name in setup.start.new)
    assert any(name.startswith("multipoles.") for name in setup.start.new)
    assert any(name.startswith("readouts.1") for name in setup.start.left)
    rows = list(setup.start.table().columns[1].cells)
    assert any(str(cell) == "backbone.interactions.0" for cell in rows)


class Harm:
    """Pickled, it leaves a file behind when it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (self.target, "w"))


def test_a_file_that_runs_code_is_loaded_only_where_it_is_trusted(compose, dataset, tmp_path):
    target = tmp_path / "harm"
    (tmp_path / "bad.model").write_bytes(pickle.dumps(Harm(str(target))))
    cfg = compose(f"model.start_from={tmp_path / 'bad.model'}")
    with pytest.raises(InputError, match=r"runs whatever code .* model\.trust_file=true"):
        Setup(cfg, dataset)
    assert not target.exists()


def test_what_does_not_fit_is_refused(compose, dataset, best, tmp_path):
    model = Setup(compose(*SHORT), dataset).model
    before = {key: value.clone() for key, value in model.state_dict().items()}

    def refused(content, reason, trust_file=False):
        path = tmp_path / "start.pt"
        torch.save(content, path)
        with pytest.raises(InputError, match=reason):
            start_from(model, str(path), trust_file=trust_file)

    with pytest.raises(InputError, match="no such file"):
        start_from(model, str(tmp_path / "none.pt"), trust_file=False)
    state = dict(checkpoint.load(best / "best.pt")["model"])
    numbers = "backbone.atomic_numbers"
    refused({**state, numbers: torch.tensor([1, 6])}, "its elements are 1, 6, .* data 1, 8")
    refused({**state, "backbone.r_max": torch.tensor(6.0)}, "its r_max is 6, that of this model 4")
    refused({"a": torch.ones(3)}, "none of its 1 tensors has name and shape")
    refused({"epoch": 3}, "holds no parameters")
    refused([1, 2], "holds a list")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_another_file_makes_another_study(compose, best, tmp_path):
    space = SearchSpace.parse({"loss.forces.weight": "tag(log, interval(1, 1000))"}, [])
    path = tmp_path / "best.pt"
    shutil.copy(best / "best.pt", path)
    plain = definition(compose(*SHORT), space)
    assert not any("start_from" in key or "trust_file" in key for key in plain)
    one = definition(compose(*SHORT, f"model.start_from={path}"), space)
    path.write_bytes(path.read_bytes() + b" ")
    two = definition(compose(*SHORT, f"model.start_from={path}"), space)
    key = "content of model.start_from"
    assert one[key] != two[key]
    assert {k: v for k, v in one.items() if k != key} == {k: v for k, v in two.items() if k != key}
