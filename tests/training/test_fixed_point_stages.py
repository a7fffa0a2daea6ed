"""Stages of a self-consistent model: what they need, how it is judged, stopping between them."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from losses import WeightedLoss
from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.records.writer import TrialWriter
from sweep.search.space import SearchSpace
from sweep.training import checkpoint
from sweep.training.job import train_trial
from sweep.training.optimization import Optimization
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

OPTIONS = "train_schedule.{}.fixed_point_training_options"
STAGES = [
    "model=fixed_point_small",
    "schedule=direct_unroll",
    "objective=fermi",
    "train_schedule.0.end=1",
    "train_schedule.1.start=2",
    "train_schedule.1.end=3",
    f"{OPTIONS.format(1)}.scf.num_scf_steps=3",
    "loss=[energy_per_atom,forces,atomic_multipoles,esps,field_features]",
]
SECOND = "train_schedule.1.loss={energy_per_atom:1,atomic_multipoles:100,fermi_level_per_atom:1}"


@pytest.fixture(scope="module")
def trainers():
    return {}


@pytest.fixture
def prepare(compose, trainers):
    """Configuration, checked stages and the trainer of the data."""

    def make(*overrides: str):
        cfg = compose(*STAGES, *overrides)
        stages = check_config(cfg)
        key = str(cfg.heads)
        if key not in trainers:
            trainers[key] = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        return cfg, stages, trainers[key]

    return make


@pytest.fixture
def train(prepare, tmp_path):
    def run(folder, *overrides, stop_after=None):
        cfg, stages, trainer = prepare(SECOND, *overrides)
        reports = []

        def after_epoch(report):
            reports.append(report)
            return Decision.STOP if report.epoch == stop_after else Decision.CONTINUE

        result = train_trial(trainer, cfg, stages, TrialWriter(tmp_path / folder, {}), after_epoch)
        return result, reports

    return run


@pytest.mark.parametrize("stop_after", [0, 1, 2])  # 1 is the last epoch of the direct stage
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(train, tmp_path, stop_after):
    whole, _ = train("whole")
    assert train("parts", stop_after=stop_after)[0].state == "STOPPED"
    resumed, _ = train("parts")
    assert resumed == whole
    for name in ("breakdown", "metrics"):
        tables = [
            pd.read_parquet(tmp_path / folder / f"{name}.parquet") for folder in ("whole", "parts")
        ]
        pd.testing.assert_frame_equal(*tables)
    states = [checkpoint.load(tmp_path / f / "checkpoint.pt") for f in ("whole", "parts")]
    for key, value in states[0]["member"]["model"].items():
        assert torch.equal(value, states[1]["member"]["model"][key])


def test_every_epoch_is_judged_as_the_model_is_used_in_the_end(train, tmp_path):
    """In the direct stage too the Fermi level is one that the model found, not the label."""
    result, reports = train("a")
    assert all(report.metrics["rmse_fermi_level"] > 0.05 for report in reports)
    assert all(report.metrics["rmse_total_charge"] < 1e-5 for report in reports)
    steps = pd.read_parquet(tmp_path / "a" / "breakdown.parquet")
    assert steps["raw.field_features"].isna().tolist() == [False] * 6 + [True] * 6
    assert steps["raw.fermi_level_per_atom"].isna().tolist() == [True] * 6 + [False] * 6
    assert result.metrics["test"]["rmse_fermi_level"] > 0.05


def test_a_trained_model_has_the_right_sign(prepare):
    """Electrons fill up as the Fermi level rises: by one step, and self-consistently."""
    cfg, stages, trainer = prepare(SECOND, "train_schedule.0.lr=0.03", "trainer.batch_size=2")
    setup = trainer.setup(cfg)
    setup.reset()
    optimization = Optimization(setup.model, cfg.trainer, stages[0])
    for stage in stages:
        optimization.enter(stage)
        loss = WeightedLoss(stage.loss)
        for epoch in range(4):
            for ref, periodic in setup.batches("train", seed=0, epoch=epoch):
                optimization.step(loss, ref, periodic=periodic, stress=False)
    ref, periodic = setup.balance_batch()
    options = stages[1].options
    prediction = setup.model(ref, periodic=periodic, **options)
    assert (prediction["dq_dmu"] < 0).all()
    levels = [
        setup.model(
            {**ref, "total_charge": ref["total_charge"] + shift}, periodic=periodic, **options
        )["fermi_level"]
        for shift in (0.1, -0.1)
    ]
    assert (levels[0] < levels[1]).all()  # the more positive, the lower


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["loss=[forces,fermi_level]"],
            r"stage 0 \(direct\): loss term 'fermi_level': mode 'direct' takes the Fermi level fr",
        ),
        (
            ["loss=[forces,fermi_level_gradient]"],
            r"'fermi_level_gradient': mode 'direct' iterates nothing and has no dq_dmu; needs mode",
        ),
        (
            ["loss=[forces,final_terms_fixedpoint_scf_stability]"],
            r"stage 0 .*mode 'direct' iterates nothing and has no charges_history",
        ),
        (
            [SECOND, f"{OPTIONS.format(1)}.scf.constant_charge=false", "objective=default"],
            r"stage 1 \(unroll\): loss term 'fermi_level_per_atom': the Fermi level is given where",
        ),
        (
            [f"{OPTIONS.format(1)}.scf.constant_charge=false"],
            r"objective\.metrics: 'fermi_level' cannot be measured: the Fermi level is given",
        ),
        (["loss=[forces,stress]"], r"'stress': not for the model family 'fixed_point', only for"),
        (
            ["~heads.water_clusters.info_keys.fermi_level", "objective=default"],
            r"stage 0 \(direct\): the model starts from the label 'fermi_level', which is missing "
            "in 12 of 12 configurations of train",
        ),
        (
            ["~heads.water_clusters.info_keys.total_charge"],
            r"stage 1 \(unroll\): the model starts from the label 'total_charge'",
        ),
    ],
)
def test_what_a_stage_cannot_do_is_refused(prepare, overrides, message):
    cfg, stages, trainer = prepare(*overrides)
    with pytest.raises(InputError, match=message):
        trainer.check(cfg, stages)


def test_a_term_on_a_charge_that_is_imposed_is_said_to_be_constant(prepare):
    cfg, stages, trainer = prepare("loss=[forces,total_charge]")
    table = trainer.check(cfg, stages).renderables[0]
    status = list(table.columns[-1].cells)
    assert [str(cell) for cell in status] == [
        "ok",
        "ok",
        "ok",
        "constant: the model conserves charge",
    ]


def test_charges_are_trained_where_the_level_is_given(prepare):
    cfg, stages, trainer = prepare(
        "loss=[forces,total_charge]", "objective=default",
        f"{OPTIONS.format(1)}.scf.constant_charge=false",
    )  # fmt: skip
    assert "constant" not in str(list(trainer.check(cfg, stages).renderables[0].columns[-1].cells))


def test_options_of_a_stage_can_be_searched(compose):
    key = f"{OPTIONS.format(1)}.scf.mixing_parameter"
    space = SearchSpace.parse({key: "interval(0.1, 0.9)"}, [])
    cfg = compose(*STAGES)
    space.check(cfg)
    assert space.defaults(cfg) == {key: 0.3}
    (_, stage) = check_config(compose(*STAGES, f"{key}=0.8"))
    assert stage.options["fixed_point"].scf.mixing_parameter == 0.8
