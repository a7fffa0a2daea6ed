"""The search space: from Hydra's grammar to distributions and back to overrides."""

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.errors import InputError
from sweep.search.space import SearchSpace


def parse(**params):
    return SearchSpace.parse(params, [])


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0.5, 2)", FloatDistribution(0.5, 2)),
        ("interval(1, 10)", FloatDistribution(1, 10)),
        ("tag(log, interval(0.1, 1000))", FloatDistribution(0.1, 1000, log=True)),
        ("tag(int, interval(2, 9))", IntDistribution(2, 9)),
        ("tag(int, log, interval(2, 900))", IntDistribution(2, 900, log=True)),
        ("range(1, 10)", IntDistribution(1, 10)),
        ("range(0, 10, 5)", IntDistribution(0, 10, step=5)),
        ("range(0.0, 1.0, 0.25)", FloatDistribution(0, 1, step=0.25)),
        ("tag(log, range(1, 100))", IntDistribution(1, 100, log=True)),
        ("tag(log, range(0.5, 100))", FloatDistribution(0.5, 100, log=True)),
        ("choice(1, 2.5, true, a, 'b c')",
         CategoricalDistribution((1, 2.5, True, "a", "b c"))),
        ("a,b", CategoricalDistribution(("a", "b"))),
    ],
)  # fmt: skip
def test_grammar(text, distribution):
    space = parse(key=text)
    assert space.distributions == {"key": distribution}
    assert space.fixed == []


def test_a_description_reads_back_as_the_same_space():
    space = parse(
        a="tag(log, interval(0.1, 1000))",
        b="range(0, 10, 5)",
        c="range(0.0, 1.0, 0.25)",
        d="tag(log, range(1, 100))",
        e="choice(1, x, true)",
    )
    assert parse(**space.describe()) == space


def test_the_command_line_takes_precedence_and_the_rest_is_fixed():
    space = SearchSpace.parse(
        {"a": "interval(1, 2)", "b": "interval(1, 2)", "c": 3},
        ["b=7", "a=interval(3, 4)", "+d=x", "loss=[forces,esps]", "~e"],
    )
    assert space.distributions == {"a": FloatDistribution(3, 4)}
    assert space.fixed == ["b=7", "c=3", "+d=x", "loss=[forces,esps]", "~e"]


@pytest.mark.parametrize(
    "value",
    [
        0.1, 1e-07, 1e22, -3.25, 0.1 + 0.2, 5, -5, True, False, None, "", "a", "a b", "a,b",
        "null", "true", "1", "it's", '"', "\\", "\\\\", "a\\", "a\\b", "\\'", "\\\\'", "'\\", "[1]",
        "k=v", "é",
    ],
)  # fmt: skip
def test_a_value_survives_the_override_and_its_parser(value):
    cfg = OmegaConf.create({"key": None})
    (text,) = SearchSpace({"key": FloatDistribution(0, 1)}).apply({"key": value}, cfg)
    assert cfg.key == value
    override = OverridesParser.create().parse_override(text)
    assert override.key_or_group == "key"
    back = override.value()
    assert back == value
    assert type(back) is type(value)


def test_a_string_choice_reaches_the_configuration_unchanged():
    space = parse(key=r"choice('it\'s', 'a\b', plain)")
    assert space.distributions["key"].choices == ("it's", "a\\b", "plain")


CONFIG = OmegaConf.create(
    {
        "loss": {"forces": {"weight": 100.0}, "esps": 3},
        "train_schedule": {"0": {"lr": 0.01}},
        "seed": 0,
    }
)


def test_defaults_are_the_configured_values():
    space = parse(
        **{
            "loss.forces.weight": "tag(log, interval(1, 1000))",
            "loss.esps": "choice(1, 3)",
            "train_schedule.0.lr": "interval(0.001, 0.01)",
            "seed": "range(0, 5)",
        }
    )
    assert space.defaults(CONFIG) == {
        "loss.forces.weight": 100.0, "loss.esps": 3, "train_schedule.0.lr": 0.01, "seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("loss.force.weight", "interval(1, 2)", "'force'; did you mean 'forces'"),
        ("loss.forces.wait", "interval(1, 2)", "unknown key in 'loss.forces' 'wait'"),
        ("sed", "range(0, 2)", "unknown key 'sed'; did you mean 'seed'"),
        ("loss.forces", "interval(1, 2)", "names a group of keys"),
        ("loss.forces.weight.more", "interval(1, 2)", "'more'"),
        ("loss.forces.weight", "interval(1, 99.9)", "the configured value 100.0"),
        ("loss.esps", "choice(1, 2)", "the configured value 3"),
        ("seed", "range(1, 9)", "the configured value 0"),
    ],
)
def test_a_default_that_is_not_there_or_not_in_the_space(key, text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(**{key: text}).defaults(CONFIG)
    assert f"hydra.sweeper.params['{key}']" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "clipped"),
    [
        ("interval(0.1, 10)", 3.3, 3.3),
        ("interval(0.1, 10)", 1e9, 10),
        ("tag(log, interval(0.1, 10))", 1e-9, 0.1),
        ("range(0, 100, 10)", 17.0, 20),
        ("range(5, 100)", 0.1, 5),
        ("range(5, 100)", 17.4, 17),
        ("range(0.0, 1.0, 0.25)", 0.6, 0.5),
        ("choice(1, 10, 100)", 40.0, 100),
        ("choice(1, 10, 100)", 30.0, 10),
        ("choice(0, word, 10)", 1e-3, 10),
    ],
)
def test_clip_gives_the_nearest_value_of_the_space(text, value, clipped):
    space = parse(key=text)
    found = space.clip("key", value)
    assert found == clipped
    distribution = space.distributions["key"]
    assert distribution._contains(distribution.to_internal_repr(found))


def test_the_default_can_be_enqueued_and_is_what_the_trial_gets():
    study = optuna.create_study()
    space = parse(a="range(1, 1000)", b="choice(1, 2)", c="tag(log, interval(1, 200))")
    study.enqueue_trial({"a": 100.0, "b": 2, "c": 100})
    trial = study.ask(space.distributions)
    assert trial.params == {"a": 100, "b": 2, "c": 100.0}


def test_the_space_is_checked_where_no_trial_has_been_yet(load_config):
    cfg = load_config()
    parse(**{"loss.forces.weight": "interval(0, 200)"}).check(cfg)  # 0: not evaluated
    for text in ("interval(-1, 200)", "choice(100.0, -1)", "range(-5, 200)"):
        with pytest.raises(InputError, match=r"loss\.forces\.weight'\].*not negative; got -[15]"):
            parse(**{"loss.forces.weight": text}).check(cfg)
    with pytest.raises(InputError, match=r"model\.max_ell"):
        parse(**{"model.max_ell": "range(0, 3)"}).check(cfg)
    assert cfg.loss.forces.weight == 100.0


SWITCH = {
    "loss.forces.weight": "tag(log, interval(1, 1000))",
    "loss.esps": "choice(on, off)",
    "loss.forces": "choice(on, off)",
    "train_schedule.0.lr": "interval(0.001, 0.01)",
}


def test_a_switch_comes_first_and_off_takes_the_values_inside_with_it():
    space = parse(**SWITCH)
    assert space.switches == ["loss.esps", "loss.forces"]
    assert list(space.distributions)[:2] == space.switches
    assert not space.is_searched("loss.forces.weight", {"loss.forces": "off"})
    assert space.is_searched("loss.forces.weight", {"loss.forces": "on"})
    assert space.is_searched("loss.forces.weight", {"loss.esps": "off"})
    assert space.defaults(CONFIG) == {
        "loss.esps": "on", "loss.forces": "on", "loss.forces.weight": 100.0,
        "train_schedule.0.lr": 0.01,
    }  # fmt: skip


def test_the_default_of_a_term_without_weight_is_off():
    cfg = OmegaConf.merge(CONFIG, {"loss": {"forces": {"weight": 0.0}, "esps": 0}})
    assert parse(**SWITCH).defaults(cfg) == {
        "loss.esps": "off", "loss.forces": "off", "train_schedule.0.lr": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "overrides", "weights"),
    [
        ({"loss.forces": "off"}, ["loss.forces.weight=0.0"], (0.0, 3)),
        ({"loss.forces": "on", "loss.forces.weight": 5.0}, ["loss.forces.weight=5.0"], (5.0, 3)),
        ({"loss.forces": "on"}, [], (100.0, 3)),
        ({"loss.esps": "off"}, ["loss.esps=0.0"], (100.0, 0)),
    ],
)
def test_a_switch_sets_the_weight(params, overrides, weights):
    cfg = CONFIG.copy()
    assert parse(**SWITCH).apply(params, cfg) == overrides
    assert (cfg.loss.forces.weight, cfg.loss.esps) == weights


def test_only_weights_are_weights():
    space = parse(
        **SWITCH,
        **{
            "loss.esps.weight": "interval(1, 2)",
            "loss.forces.huber_delta": "interval(1, 2)",
            "train_schedule.1.loss.dipole": "interval(1, 2)",
        },
    )
    assert space.weights == {
        "loss.forces.weight": (None, "forces"),
        "loss.esps.weight": (None, "esps"),
        "train_schedule.1.loss.dipole": (1, "dipole"),
    }
