"""The estimate before a training: exact counts, a measured time, and nothing is changed."""

from __future__ import annotations

import re
import time

import pytest
import torch

from sweep.config.checks import check_config
from sweep.console import make_console
from sweep.data.dataset import load
from sweep.training import duration as measured
from sweep.training.duration import in_words
from sweep.training.own import OwnTrainer

STAGES = [
    "schedule=two_stages", "train_schedule.0.end=6", "train_schedule.1.start=7",
    "train_schedule.1.end=39",
]  # fmt: skip


@pytest.fixture
def checked(compose):
    cfg = compose(*STAGES)
    trainer = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
    return trainer, cfg, check_config(cfg)


def text_of(renderable) -> str:
    console = make_console()
    with console.capture() as caught:
        console.print(renderable, soft_wrap=True)
    return caught.get()


def test_epochs_steps_and_the_key_that_shortens_it(checked):
    trainer, cfg, stages = checked
    before = {k: v.clone() for k, v in trainer.setup(cfg).model.state_dict().items()}
    (line,) = [x for x in text_of(trainer.check(cfg, stages)).splitlines() if "epochs of" in x]
    assert line.startswith("a training is 40 epochs of 3 steps, 120 steps in all: about ")
    assert line.endswith("a smaller train_schedule.1.end (now 39) shortens it")
    for key, value in trainer.setup(cfg).model.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_time_is_that_of_the_steps(checked, monkeypatch):
    """An optimiser that sleeps for 0.05 s: 40 epochs of three steps take at least 6 s."""
    trainer, cfg, stages = checked

    class Slow(measured.Optimization):
        def step(self, *given, **more):
            time.sleep(0.05)
            return super().step(*given, **more)

    monkeypatch.setattr(measured, "Optimization", Slow)
    line = text_of(trainer.check(cfg, stages))
    (seconds,) = re.findall(r"about (\d+) s at", line)
    assert 6 <= int(seconds) < 60


def test_fewer_evaluations_take_less_time(compose, monkeypatch):
    """Of 40 epochs every tenth is evaluated, and the last of both stages."""
    cfg = compose(*STAGES, "trainer.eval_interval=10", "trainer.patience=3")
    trainer = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
    n_batches = trainer.setup(cfg).n_batches("valid")
    monkeypatch.setattr(measured, "_measure", lambda *_: (0.0, 1000.0))
    line = text_of(trainer.check(cfg, check_config(cfg)))
    assert "a training is at most 40 epochs" in line
    assert f"about {in_words(6 * 1000.0 * n_batches)} at" in line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (9.4, "9 s"), (42.3, "42 s"), (100, "2 min"), (3000, "50 min"),
     (5400, "1.5 h"), (36 * 3600, "1.5 days")],
)  # fmt: skip
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
