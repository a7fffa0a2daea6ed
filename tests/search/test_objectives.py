"""What Optuna is told of a trial."""

import math

import pytest
from omegaconf import OmegaConf

from sweep.config.checks import check_config
from sweep.errors import InputError, TrainingError
from sweep.records.objective import Objective
from sweep.search.objectives import Objectives


def objective_of(cfg):
    return Objective.read(OmegaConf.to_container(cfg.objective, resolve=True))


def test_values_are_the_score_or_errors_in_natural_units():
    objectives = Objectives(("score", "forces"), {}, "mae")
    assert objectives.values(0.3, {"mae_forces": 0.02, "rmse_forces": 0.03}) == [0.3, 0.02]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_error_that_is_not_finite_is_the_trials_fault(value):
    objectives = Objectives(("forces",), {}, "rmse")
    with pytest.raises(TrainingError, match=r"'forces' is (nan|inf)"):
        objectives.values(0.3, {"rmse_forces": value})


def test_a_constraint_is_a_multiple_of_the_default():
    objectives = Objectives(("score",), {"forces": 1.5, "esps": 1.0}, "rmse")
    own, default = {"rmse_forces": 0.4}, {"rmse_forces": 0.2, "rmse_esps": 1.0}
    assert objectives.violations(own, default) == {"forces": 0.5, "esps": 0.0}
    # Samplers must find the same constraints in every trial, whatever became of trial 0.
    assert objectives.violations(own, None) == {"forces": 0.0, "esps": 0.0}


@pytest.mark.parametrize(
    "override", ["objective.constraints.forces=1.2", "objective.constraints={forces: 1.2}"]
)
def test_constraints_are_set_by_plain_overrides(load_config, override):
    cfg = load_config(override)
    check_config(cfg)
    assert Objectives.of(objective_of(cfg)).constraints == {"forces": 1.2}
    assert Objectives.of(objective_of(load_config())).constraints == {}


@pytest.mark.parametrize("factor", [0, -1, "inf", "nan"])
def test_a_constraint_must_be_a_number_above_0(load_config, factor):
    with pytest.raises(InputError, match=r"^objective\.constraints\.forces: must be above 0"):
        check_config(load_config(f"objective.constraints.forces={factor}"))
