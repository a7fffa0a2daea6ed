"""The options of a stage: MACE_SCF's names and defaults, and an error for everything else."""

from __future__ import annotations

import pytest

from sweep.errors import InputError
from sweep.models import FixedPointConfig, LocalChargesConfig
from sweep.models.fixed_point.settings import FixedPointOptions, ScfOptions, fixed_point_options

SCF = {"num_scf_steps": 10, "mixing_parameter": 0.3}
KEY = "train_schedule.1.fixed_point_training_options"


def options(**changes):
    return {"mode": "unroll_scf", "scf": {**SCF, **changes}}


def test_a_block_of_mace_scf_is_read_as_it_is():
    given = {
        "mode": "unroll_scf",
        "scf": {
            "num_scf_steps": 10,
            "constant_charge": True,
            "mixing_parameter": 0.3,
            "initial_density": "from_data",
            "initial_fermi_level": "from_data",
            "use_autograd_forces": True,
        },
    }
    expected = ScfOptions(10, 0.3, initial_density="from_data")
    assert fixed_point_options(KEY, given) == FixedPointOptions(expected)


def test_the_defaults_are_those_of_mace_scf():
    scf = fixed_point_options(KEY, options()).scf
    assert scf.scf_tolerance == 1e-6
    assert scf.constant_charge
    assert (scf.initial_density, scf.initial_fermi_level) == ("local_guess", "from_data")


def test_direct_has_no_iteration():
    assert fixed_point_options(KEY, {"mode": "direct"}).scf is None
    assert fixed_point_options(KEY, {"mode": "direct", "scf": None}).scf is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("direct", r": must be a mapping such as \{mode: direct\}; got 'direct'"),
        ({}, r"\.mode: unknown mode 'None'; valid: direct, unroll_scf"),
        ({"mode": "unrol_scf"}, r"\.mode: unknown mode 'unrol_scf'; did you mean 'unroll_scf'\?"),
        ({"mode": "implicit"}, r"\.mode: unknown mode 'implicit'; valid: direct, unroll_scf"),
        ({"mode": "direct", "scf": SCF}, r"\.scf: only for mode unroll_scf; the mode is direct"),
        ({"mode": "unroll_scf"}, r"\.scf: mode unroll_scf needs it, as in .*; got None"),
        ({"mode": "direct", "mod": 1}, r": unknown key 'mod'; did you mean 'mode'\?"),
        (
            {"mode": "unroll_scf", **SCF},
            rf"\.num_scf_steps: belongs one level deeper, to {KEY}\.scf\.num_scf_steps",
        ),
        (
            options(mixing_param=0.3),
            r"\.scf: unknown key 'mixing_param'; did you mean 'mixing_para",
        ),
        (options(num_scf_steps=None), r"\.scf\.num_scf_steps: no value given"),
        (options(num_scf_steps=0), r"num_scf_steps: must be a whole number of at least 1; got 0"),
        (options(num_scf_steps=2.5), r"num_scf_steps: must be a whole number .*; got 2\.5"),
        (options(mixing_parameter=0), r"mixing_parameter: must be above 0 and at most 1; got 0"),
        (options(mixing_parameter=1.1), r"mixing_parameter: .*; got 1\.1"),
        (options(mixing_parameter="a"), r"mixing_parameter: .*; got a"),
        (options(scf_tolerance=0.0), r"scf_tolerance: must be positive and finite; got 0\.0"),
        (options(constant_charge="yes"), r"constant_charge: unknown value 'yes'; .*false, true"),
        (options(constant_charge=1), r"constant_charge: unknown value '1'"),
        (options(initial_density="local"), r"did you mean 'local_guess'\?"),
        (options(initial_fermi_level="data"), r"did you mean 'from_data'\?"),
        (options(use_autograd_forces=False), r"use_autograd_forces: unknown value 'false'"),
    ],
)
def test_bad_options(given, message):
    with pytest.raises(InputError, match=message) as error:
        fixed_point_options(KEY, given)
    assert str(error.value).startswith(KEY)
    assert "\n" not in str(error.value)


def test_a_fixed_point_model_needs_them():
    with pytest.raises(InputError, match=r"^train_schedule\.0\.fixed_point_training_options: a "):
        FixedPointConfig().stage_arguments("train_schedule.0", {})
    assert FixedPointConfig().stage_arguments(
        "train_schedule.0", {"fixed_point_training_options": {"mode": "direct"}}
    ) == {"fixed_point": FixedPointOptions()}


def test_another_model_must_not_have_them():
    stage = {"fixed_point_training_options": {"mode": "direct"}}
    with pytest.raises(InputError, match=r"only for the model family 'fixed_point'; this model's"):
        LocalChargesConfig().stage_arguments("train_schedule.0", stage)
    assert LocalChargesConfig().stage_arguments("train_schedule.0", {}) == {}
