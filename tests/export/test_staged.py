"""Weights that moved, as a schedule of stages with fixed ones; and how they move elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import losses
from sweep.cli.export import main
from sweep.files import write_json, write_text

N_STEPS = 3  # per epoch


@pytest.fixture
def study(tmp_path):
    """Default, moving and static; the weight of the forces doubles in every epoch of the second."""
    folder = tmp_path / "esp"
    weighting = {"name": "gradient_shares", "interval": 5, "smoothing": 0.5, "ceiling": 100.0,
                 "shares": {"forces": 2.0, "energy_per_atom": 1.0}}  # fmt: skip
    for number, (role, score) in enumerate((("default", 0.5), ("balanced", 0.2), ("static", 0.3))):
        stages = [
            {"name": name, "start": start, "end": end, "lr": 0.01,
             "loss": {"forces": {"weight": 4.0}, "energy_per_atom": {"weight": 1.0}}}
            for name, start, end in (("one", 0, 5), ("two", 6, 8))
        ]  # fmt: skip
        path = folder / "trials" / f"{number:04d}"
        write_json(
            path / "trial.json",
            {"number": number, "role": role, "state": "COMPLETE", "score": score, "stages": stages,
             "weighting": weighting if role == "balanced" else {"name": "fixed"}},
        )  # fmt: skip
        config = {
            "train_schedule": {
                str(i): {**stage, "loss": None, "fixed_point_training_options": {"mode": "direct"}}
                for i, stage in enumerate(stages)
            },
            "loss": stages[0]["loss"], "weighting": weighting,
        }  # fmt: skip
        write_text(path / ".hydra" / "config.yaml", yaml.safe_dump(config))
        epoch = np.repeat(np.arange(9), N_STEPS)
        table = {"epoch": epoch, "weight.forces": 2.0**epoch, "lr": 0.01 / (1 + epoch),
                 "weight.energy_per_atom": np.where(epoch < 4, 0.0, 3.0)}  # fmt: skip
        pq.write_table(pa.table(table), path / "breakdown.parquet")
    return folder


def test_of_a_training_that_ended_early_what_was_trained_is_cut(study, capsys):
    """Epochs 0 to 6; the schedule goes on to 8, and so does the last part."""
    for path in study.glob("trials/*"):
        content = json.loads((path / "trial.json").read_text())
        write_json(path / "trial.json", {**content, "epochs_trained": 7})
        table = pq.read_table(path / "breakdown.parquet")
        pq.write_table(table.slice(0, 7 * N_STEPS), path / "breakdown.parquet")
    assert main([str(study), "--stages", "3"]) == 0
    schedule = yaml.safe_load(capsys.readouterr().out)["train_schedule"]
    assert [(s["start"], s["end"]) for s in schedule.values()] == [(0, 2), (3, 5), (6, 8)]
    forces = [stage["loss"]["forces"] for stage in schedule.values()]
    assert forces == pytest.approx([2**1, 2**4, 2**6])


def test_every_part_has_the_means_of_its_steps(study, capsys):
    assert main([str(study), "--stages", "4"]) == 0
    printed = capsys.readouterr().out
    schedule = yaml.safe_load(printed)["train_schedule"]
    assert [(s["start"], s["end"]) for s in schedule.values()] == [(0, 1), (2, 3), (4, 5), (6, 8)]
    forces = [stage["loss"]["forces"] for stage in schedule.values()]
    assert forces == pytest.approx([2**0.5, 2**2.5, 2**4.5, 2**7])
    assert "energy_per_atom" not in schedule[1]["loss"]  # it was off
    assert schedule[3]["loss"]["energy_per_atom"] == pytest.approx(3.0)
    assert [stage["lr"] for stage in schedule.values()] == [0.01 / n for n in (1, 3, 5, 7)]
    assert all(s["fixed_point_training_options"] == {"mode": "direct"} for s in schedule.values())
    assert "ended with: score 0.3 instead of 0.2, 50 % worse." in printed


def test_a_copy_of_the_last_stage_alone_is_no_copy(study, capsys):
    """As after search.stages=last, where the static trial has configured weights before."""
    path = study / "trials/0002/trial.json"
    content = json.loads(path.read_text())
    content["stages"][0]["loss"]["forces"]["weight"] = 100.0
    write_json(path, content)
    assert main([str(study)]) == 0
    printed = capsys.readouterr().out
    assert "No training had all of them fixed: trial 2 kept other weights in one." in printed
    assert "instead of" not in printed


def test_the_experiment_of_moving_weights_says_that_they_move(study, capsys):
    assert main([str(study), "--format", "hydra"]) == 0
    printed = capsys.readouterr().out
    assert "those below are the configured ones" in printed
    assert "this training is trial 1 then" in printed
    assert "geometric means" not in printed
    assert main([str(study), "--format", "hydra", "--stages", "2"]) == 0
    printed = capsys.readouterr().out
    assert "geometric means in each part of a stage" in printed
    assert "trains with these weights" in printed


def test_the_loop_that_it_prints_moves_the_weights(study, capsys):
    assert main([str(study)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "loop of your own" in line) + 1
    code = [line.removeprefix("#     ") for line in lines[start:] if line.startswith("#     ")]
    assert len(code) == 9
    assert "interval=5, smoothing=0.5, ceiling=100.0" in code[2]
    model = torch.nn.Linear(3, 1, bias=False)
    batch = torch.eye(3)

    def raw(pred, ref):
        return {
            "forces": pred.square().mean(),
            "energy_per_atom": 1e-3 * (pred - 1).square().mean(),
        }

    class Loss:
        names = ("forces", "energy_per_atom")
        raw_values = staticmethod(raw)

    made = []
    fake = type("losses", (), {"WeightedLoss": lambda terms: made.append(terms) or Loss(),
                               "GradientShares": losses.GradientShares})  # fmt: skip
    space = {"model": model, "batches": [batch], "losses": fake,
             "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}  # fmt: skip
    before = model.weight.detach().clone()
    exec("\n".join(code[1:]), space)
    assert not torch.equal(model.weight, before)
    assert made == [{"forces": {"weight": 1.0}, "energy_per_atom": {"weight": 1.0}}]
    assert model.weight.grad.norm() <= 1.0001
    assert space["weighting"].shares == {"forces": 2.0, "energy_per_atom": 1.0}


def test_other_formats(study, capsys):
    assert main([str(study), "--stages", "3", "--format", "json"]) == 0
    assert [stage["end"] for stage in json.loads(capsys.readouterr().out)["stages"]] == [2, 5, 8]
    assert main([str(study), "--stages", "3", "--format", "hydra"]) == 0
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["weighting"]["name"] == "fixed"
    assert list(content["train_schedule"]) == ["0", "1", "2"]
    assert content["train_schedule"]["2"]["loss"]["forces"]["weight"] == pytest.approx(2**7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial", "2"], "--stages 4: the weights of trial 2 do not move; those of --trial 1 do"),
        (["--stages", "1"], "--stages 1: must be from 2 (its stages) to 9 (its epochs)"),
        (["--stages", "10"], "--stages 10: must be from 2"),
        (["--format", "mace_cli"], "--format mace_cli has no schedule of stages; formats that"),
        (["--format", "mace_model"], "--format mace_model has no schedule of stages"),
    ],
)
def test_errors(study, capsys, arguments, message):
    assert main([str(study), "--stages", "4", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_training_that_ended_before(study, capsys):
    path = study / "trials" / "0001" / "breakdown.parquet"
    pq.write_table(pq.read_table(path).slice(0, 6 * N_STEPS), path)
    assert main([str(study), "--stages", "4"]) == 1
    assert "trial 1 has no weights of epochs 6 to 8, as its training" in capsys.readouterr().err
