"""Studies with the samplers and pruners of conf, and with what a user gets wrong."""

import optuna
import pytest
from omegaconf import OmegaConf

from sweep.errors import InputError
from sweep.schedule import CONF_DIR
from sweep.study.optimization import make_sampler, open_study

SWEEPER = CONF_DIR / "hydra" / "sweeper"
SAMPLERS = sorted(path.stem for path in (SWEEPER / "sampler").glob("*.yaml"))
PRUNERS = sorted(path.stem for path in (SWEEPER / "pruner").glob("*.yaml"))
RANDOM = {"_target_": "optuna.samplers.RandomSampler"}
NEVER = {"_target_": "optuna.pruners.NopPruner"}


def open_in(folder, sampler=RANDOM, pruner=NEVER, seed=0):
    sampler, pruner = OmegaConf.create(sampler), OmegaConf.create(pruner)
    return open_study(folder, "s", sampler, pruner, seed=seed)


def suggest(study):
    trial = study.ask()
    value = trial.suggest_float("weight", 0.1, 1000, log=True)
    study.tell(trial, value)
    return value


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_conf_suggests_past_its_start(tmp_path, name):
    cfg = OmegaConf.load(SWEEPER / "sampler" / f"{name}.yaml")
    study = open_in(tmp_path, sampler=cfg)
    assert type(study.sampler).__name__ == cfg["_target_"].rpartition(".")[2]
    n_startup = cfg.get("n_startup_trials", 1)
    values = [suggest(study) for _ in range(n_startup + 2)]
    assert len(set(values)) == len(values)
    assert all(0.1 <= value <= 1000 for value in values)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_is_reproducible_by_its_seed(tmp_path, name):
    cfg = OmegaConf.load(SWEEPER / "sampler" / f"{name}.yaml")
    first, again, other = (
        suggest(open_in(tmp_path / str(i), sampler=cfg, seed=seed))
        for i, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


def draw(cfg, seed, number):
    study = optuna.create_study(
        sampler=make_sampler(OmegaConf.create(cfg), seed=seed, number=number)
    )
    return study.ask().suggest_float("weight", 0, 1)


@pytest.mark.parametrize("cfg", [RANDOM, {**RANDOM, "seed": 5}])
def test_every_trial_draws_a_point_of_its_own(cfg):
    values = [draw(cfg, seed=1, number=number) for number in range(5)]
    assert len(set(values)) == 5
    assert [draw(cfg, seed=1, number=number) for number in range(5)] == values


def test_a_seed_of_the_sampler_itself_replaces_that_of_the_study():
    own = {**RANDOM, "seed": 5}
    assert draw(own, seed=1, number=3) == draw(own, seed=2, number=3)
    assert draw(own, seed=1, number=3) == draw(RANDOM, seed=5, number=3)
    assert draw(RANDOM, seed=1, number=3) != draw(RANDOM, seed=2, number=3)


def test_the_median_pruner_of_conf_stops_what_is_worse_than_most(tmp_path):
    cfg = OmegaConf.load(SWEEPER / "pruner" / "median.yaml")
    study = open_in(tmp_path, pruner=cfg)
    last = cfg.n_warmup_steps + 1
    for _ in range(cfg.n_startup_trials):
        trial = study.ask()
        for epoch in range(last + 1):
            trial.report(1.0, epoch)
        study.tell(trial, 1.0)
    bad, good = study.ask(), study.ask()
    for trial, score in ((bad, 2.0), (good, 0.5)):
        for epoch in range(last + 1):
            trial.report(score, epoch)
    assert bad.should_prune()
    assert not good.should_prune()


def test_the_pruner_none_never_stops(tmp_path):
    study = open_in(tmp_path, pruner=OmegaConf.load(SWEEPER / "pruner" / "none.yaml"))
    for score in (1.0, 1.0, 1e9):
        trial = study.ask()
        trial.report(score, 0)
        assert not trial.should_prune()


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_of_conf_is_made(tmp_path, name):
    cfg = OmegaConf.load(SWEEPER / "pruner" / f"{name}.yaml")
    study = open_in(tmp_path, pruner=cfg)
    assert isinstance(study.pruner, optuna.pruners.BasePruner)


@pytest.mark.parametrize(
    ("kind", "cfg", "culprit"),
    [
        ("sampler", {"_target_": "optuna.samplers.Genetic"}, "Genetic"),
        ("sampler", {"_target_": "no_such_package.Sampler"}, "no_such_package"),
        ("sampler", {**RANDOM, "temperature": 1}, "temperature"),
        ("sampler", {"seed": 1}, "_target_"),
        ("sampler", {**RANDOM, "seed": -1}, "-1"),
        ("sampler", {**RANDOM, "seed": "first"}, "first"),
        ("pruner", {"_target_": "optuna.pruners.Median"}, "Median"),
        ("pruner", {"_target_": "optuna.pruners.MedianPruner", "n_warmup_steps": -1}, "-1"),
        ("pruner", {"_target_": "optuna.pruners.PercentilePruner"}, "percentile"),
    ],
)
def test_what_cannot_be_made_names_its_key_in_one_line(tmp_path, kind, cfg, culprit):
    with pytest.raises(InputError, match=rf"^hydra\.sweeper\.{kind}") as caught:
        open_in(tmp_path, **{kind: cfg})
    assert culprit in str(caught.value)
    assert "\n" not in str(caught.value)
