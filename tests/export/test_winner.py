"""Which trial is taken home."""

import pytest

from sweep.errors import InputError
from sweep.export.mace_scf import mace_scf
from sweep.export.winner import select


def test_the_answer_of_several_objectives_is_exported(make_trial, tmp_path):
    """The knee, not the trial with the smallest score, which others may beat in both."""
    objective = {"metrics": ["energy"], "statistic": "rmse", "minimize": ["energy", "forces"]}
    rows = [(0.4, 0.1, 0.2), (0.1, 0.4, 0.3), (0.15, 0.15, 0.25), (0.5, 0.5, 0.01)]
    for number, (energy, forces, score) in enumerate(rows):
        errors = {"score": score, "rmse_energy": energy, "rmse_forces": forces}
        make_trial(
            number, role=None if number else "default", score=score, objective=objective,
            metrics={"valid": errors}, loss={"forces": {"weight": 10.0 + number}},
        )  # fmt: skip
    found = select(tmp_path, None)
    assert found.number == 2
    assert found.chosen_as == "the knee of the front of 4 complete trials"
    assert "forces: 12.0" in mace_scf(found)


def test_the_trial_that_comes_closest_is_named(make_trial, tmp_path):
    objective = {"metrics": ["energy"], "statistic": "rmse", "constraints": {"forces": 0.5}}
    for number, factor in enumerate((1.0, 0.9, 0.7)):
        make_trial(number, factor=factor, role=None if number else "default", objective=objective)
    with pytest.raises(InputError, match=r"no trial keeps all .*; --trial 2 takes the closest"):
        select(tmp_path, None)
