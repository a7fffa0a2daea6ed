"""The same trainings judged by other metrics and limits, without training."""

import json
import math

import pytest

from sweep.errors import InputError
from sweep.records import Study
from sweep.records.judging import by_objective
from sweep.records.objective import Objective
from sweep.report.confirmation import read_confirmation


@pytest.fixture
def study(make_trial, tmp_path):
    """The search minimised the score of the energy alone; forces and dipole were measured."""

    def make(scales=None, constraints=None, **more):
        objective = {"metrics": ["energy"], "statistic": "rmse", "constraints": constraints or {}}
        rows = [(0.4, 0.1, 0.1), (0.1, 0.3, 0.2), (0.2, 0.08, 0.11), (0.3, 0.05, 0.4)]
        for number, (energy, forces, dipole) in enumerate(rows):
            errors = {"score": energy, "rmse_energy": energy, "rmse_forces": forces,
                      "rmse_dipole": dipole}  # fmt: skip
            make_trial(
                number, role=None if number else "default", score=energy, objective=objective,
                metrics={"valid": errors, "test": errors}, scales=scales, **more,
            )  # fmt: skip
        return Study.read(tmp_path, "mine")

    return make


def test_other_metrics_choose_another_trial(study):
    found = study(scales={"forces": 0.5, "dipole": 2.0})
    assert found.best.number == 1
    judged = found.judged(["forces", "dipole"])
    assert judged.best.number == 2
    for trial, own in zip(judged, found, strict=True):
        errors = own.errors()
        expected = math.sqrt(errors["forces"] / 0.5 * errors["dipole"] / 2.0)
        assert trial.score == pytest.approx(expected)
        assert trial.score_on("test") == pytest.approx(expected)
        assert trial.errors() == errors
    assert judged.objective.metrics == ("forces", "dipole")
    assert judged.trials["score"].tolist() == [trial.score for trial in judged]
    assert found.best.number == 1  # the study itself stays what it was


def test_exponents_of_the_score(study):
    found = study(scales={"forces": 0.5, "dipole": 2.0})
    judged = found.judged({"forces": 3, "dipole": 1})
    assert judged.best.number == 3  # the smallest forces, though the largest dipole
    for trial in judged:
        forces, dipole = (trial.errors()[name] for name in ("forces", "dipole"))
        assert trial.score == pytest.approx(((forces / 0.5) ** 3 * dipole / 2.0) ** (1 / 4))
    again = Objective.read(json.loads(json.dumps(judged.objective.as_json())))
    assert again.powers == {"forces": 3.0, "dipole": 1.0}
    assert by_objective(found[1], again).score == pytest.approx(judged[1].score)
    assert by_objective(judged[1], again) is judged[1]


def test_without_the_spread_of_the_data_the_default_is_the_unit(study):
    judged = study().judged(["forces", "dipole"])
    assert judged.default.score == pytest.approx(1.0)
    assert judged.best.number == 2


def test_other_limits(study):
    found = study(constraints={"dipole": 1.0})
    assert found.best.number == 0
    assert found.judged(limits={"forces": 0.9}).best.number == 2
    assert found.judged(limits={}).best.number == 1
    both = found.judged(["forces"], {"dipole": 1.2})
    assert both.best.number == 2
    assert [trial.number for trial in both.blocked] == [3]
    assert found.judged(["forces"]).feasible == found.judged(["forces"]).complete[:1]


def test_several_objectives_become_a_score(study, make_trial, tmp_path):
    study()
    for path in tmp_path.glob("trials/*/trial.json"):
        content = json.loads(path.read_text())
        content["objective"]["minimize"] = ["energy", "forces"]
        path.write_text(json.dumps(content))
    found = Study.read(tmp_path)
    assert found.front is not None
    assert found.judged(["forces"]).front is None
    assert found.judged(limits={"dipole": 1.2}).front is not None


def test_a_trial_that_lacks_the_metric_is_none_to_choose(study, make_trial, tmp_path):
    study()
    errors = {"score": 0.1, "rmse_forces": 0.001, "rmse_dipole": None}
    make_trial(4, score=0.1, metrics={"valid": errors})
    judged = Study.read(tmp_path).judged(["forces", "dipole"])
    assert judged.best.number == 2
    assert not judged[4].is_complete
    assert judged[4].reason == "has no validation error of dipole"


@pytest.mark.parametrize(
    ("metrics", "limits", "message"),
    [
        (["forcs"], None, "--metrics: unknown quantity 'forcs'; did you mean 'forces'?"),
        (
            ["stress"],
            None,
            "--metrics: 'stress' was not measured; measured: dipole, energy",
        ),
        (None, {"esps": 1.1}, "--limit: 'esps' was not measured"),
        ([], None, "--metrics: names no quantity"),
    ],
)
def test_what_cannot_be_judged_by(study, metrics, limits, message):
    with pytest.raises(InputError) as error:
        study().judged(metrics, limits)
    assert str(error.value).startswith(message)


def test_trainings_with_other_seeds_are_judged_alike(study, tmp_path):
    study(scales={"forces": 1.0})
    for number in (0, 2):
        for seed in (1, 2):
            target = tmp_path / "confirm" / f"{number:04d}-seed{seed}"
            target.mkdir(parents=True)
            source = tmp_path / "trials" / f"{number:04d}" / "trial.json"
            (target / "trial.json").write_text(source.read_text())
    found = read_confirmation(Study.read(tmp_path).judged(["forces"]))
    assert found.score(found.candidate(2)).values == pytest.approx((0.08, 0.08))
