"""Every file of conf/ composes and passes the checks."""

import pytest
from omegaconf import OmegaConf
from shipped_terms import known_terms

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.search.space import SearchSpace
from sweep.study.spec import without_hydra


def options(group):
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


GROUPS = ["data", "model", "objective", "schedule", "search", "tracking", "trainer", "weighting"]
CHOICES = [(group, option) for group in GROUPS for option in options(group)]
# A self-consistent model needs to be told in every stage how to find its density; others must not.
GO_TOGETHER = {
    "fixed_point": ["schedule=direct_unroll"],
    "fixed_point_small": ["schedule=direct_unroll"],
    "direct_unroll": ["model=fixed_point"],
}


def test_the_tests_below_see_every_group():
    folders = {path.parent.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.rglob("*.yaml")}
    hydra = {"hydra/help", "hydra/launcher", "hydra/sweeper/pruner", "hydra/sweeper/sampler"}
    assert folders == {".", "experiment", "loss", "recipe", *GROUPS, *hydra}  # test_recipes.py


def test_the_defaults_are_valid(load_config):
    stages = check_config(load_config())
    assert [stage.index for stage in stages] == [0]
    assert set(stages[0].weights) == {
        "energy_per_atom", "forces", "atomic_multipoles", "dipole_per_atom",
    }  # fmt: skip


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_is_valid_and_so_is_its_search_space(load_config, name):
    cfg = load_config(f"+experiment={name}", hydra=True)
    base = without_hydra(cfg)
    assert check_config(base)
    params = OmegaConf.to_container(cfg.hydra.sweeper.params)
    if params:
        space = SearchSpace.parse(params, [])
        space.check(base)
        # A reference term that is searched too would leave the scale of the weights free.
        assert f"loss.{cfg.search.reference}.weight" not in space.distributions
        assert set(space.defaults(base)) == set(params)


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_option_is_valid(load_config, group, option):
    cfg = load_config(f"{group}={option}", *GO_TOGETHER.get(option, []))
    if option == "extxyz":  # a template: it names no file of its own
        with pytest.raises(InputError, match=r"^heads\.default\.train_file: no value given"):
            check_config(cfg)
        cfg.heads.default.train_file = "mine.xyz"
    if option in (needed := {"command": ["command"], "mace_scf": ["config", "python", "script"]}):
        keys = [f"trainer.{key}" for key in needed[option]]
        with pytest.raises(InputError, match=f"^{', '.join(keys)}: no value given"):
            check_config(cfg)
        values = [f"{key}=x" for key in keys]
        cfg = load_config(f"{group}={option}", *values, "+loss.forces=1.0")
    if (group, option) == ("trainer", "mace_run_train"):  # its flags bring the loss
        with pytest.raises(InputError, match=r"^loss: no term"):
            check_config(cfg)
        cfg = load_config(f"{group}={option}", "loss=[forces]")
    assert check_config(cfg)


@pytest.mark.parametrize("name", options("loss"))
def test_every_term_can_be_chosen_alone(load_config, name):
    (stage,) = check_config(load_config(f"loss=[{name}]"))
    written = {k: v for k, v in known_terms()[name].items() if not isinstance(v, str)}
    assert stage.loss == {name: written}  # a text at its default is left out, as in MACE_SCF
    assert stage.weights[name] > 0


@pytest.mark.parametrize("name", options("loss"))
def test_a_term_file_holds_one_term_of_its_own_name(name):
    content = OmegaConf.load(CONF_DIR / "loss" / f"{name}.yaml")
    assert list(content) == [name]


def test_a_weight_is_reached_by_its_name(load_config):
    (stage,) = check_config(load_config("loss=[forces,esps]", "loss.esps.weight=30"))
    assert stage.weights == {"forces": known_terms()["forces"]["weight"], "esps": 30.0}


def test_a_stage_may_have_a_loss_of_its_own(load_config):
    cfg = load_config("schedule=two_stages", "train_schedule.1.loss={forces: 7, esps: 0.5}")
    first, second = check_config(cfg)
    assert second.weights == {"forces": 7.0, "esps": 0.5}
    assert first.weights["forces"] != 7.0


def test_a_user_file_may_give_bare_numbers_as_weights(load_config, tmp_path):
    cfg = load_config("loss=[forces,esps]")
    cfg.merge_with(OmegaConf.create({"loss": {"forces": 12, "esps": 3.5}}))
    assert check_config(cfg)[0].weights == {"forces": 12.0, "esps": 3.5}
