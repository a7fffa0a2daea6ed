"""Importances and the search space that they refer to."""

import numpy as np
import optuna
import pandas as pd
import pytest

from sweep.records import Dimension, Study
from sweep.report.comparison.importance import MIN_TRIALS, importances, search_space

KEYS = ["loss.a.weight", "loss.b.weight"]


def make_table(n_trials=40, **more):
    rng = np.random.default_rng(0)
    a, b = 10 ** rng.uniform(-1, 2, (2, n_trials))
    columns = {
        "state": "COMPLETE",
        "param.loss.a.weight": a,
        "param.loss.b.weight": b,
        "valid.score": np.log(a / 3) ** 2 + 0.01 * np.log(b),
        "valid.forces": 1 / b,
        **more,
    }
    return pd.DataFrame(columns, index=[str(i) for i in range(n_trials)])


def test_the_weight_that_decides_is_found():
    table = make_table()
    result = importances(table, {})
    by = result.set_index(["metric", "parameter"])["importance"]
    assert by["score", KEYS[0]] > 0.8
    assert by["forces", KEYS[1]] > 0.8
    assert by.groupby("metric").sum().tolist() == pytest.approx([1, 1])
    correlation = result.set_index(["metric", "parameter"])["correlation"]
    assert correlation["forces", KEYS[1]] == pytest.approx(-1)


def test_it_is_optunas_own_number():
    table = make_table()
    space = {key: Dimension("float", low=0.01, high=1000, log=True) for key in KEYS}
    optunas = {key: optuna.distributions.FloatDistribution(0.01, 1000, log=True) for key in KEYS}
    study = optuna.create_study()
    for _, row in table.iterrows():
        params = {key: row[f"param.{key}"] for key in KEYS}
        value = row["valid.forces"]
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=optunas, value=value)
        )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
    result = importances(table, space).query("metric == 'forces'").set_index("parameter")
    assert result["importance"].to_dict() == pytest.approx(expected)


def test_only_complete_trials_count():
    table = make_table()
    worse = make_table().assign(state="PRUNED", **{"valid.score": 0.0})
    both = pd.concat([table, worse.set_index("p" + worse.index)])
    pd.testing.assert_frame_equal(importances(both, {}), importances(table, {}))


def test_too_few_trials_have_no_importance():
    for n in (0, 1, MIN_TRIALS - 1):
        table = make_table(n)
        assert importances(table, {}).empty
    assert len(importances(make_table(MIN_TRIALS), {})) == 4


def test_a_metric_that_some_trials_lack():
    table = make_table()
    table.loc["0", "valid.forces"] = np.nan
    result = importances(table, {})
    assert result.groupby("metric")["n_trials"].first().to_dict() == {"forces": 39, "score": 40}


def test_words_and_constants_as_values():
    table = make_table(**{"param.kind": ["x", "y"] * 20, "param.fixed": 1.0})
    result = importances(table, {}).query("metric == 'score'").set_index("parameter")
    assert result.loc["fixed", "importance"] == 0
    assert np.isnan(result.loc["kind", "correlation"])


@pytest.fixture
def space_of(tmp_path, make_trial):
    """The known search space of a study with one trial at ``value`` of every key."""

    def read(value=1.0):
        make_trial(0, params=dict.fromkeys(KEYS, value))
        return search_space(Study.read(tmp_path), KEYS)

    return read


def test_the_space_is_that_of_the_record(tmp_path, make_space, space_of):
    make_space(tmp_path, dict.fromkeys(KEYS, (0.01, 1000.0)), ("energy", "forces"))
    space = space_of()
    for key in KEYS:
        assert (space[key].low, space[key].high, space[key].log) == (0.01, 1000.0, True)
    assert space_of(5000.0) == {}  # the trial is of another search


def test_a_study_of_before_there_was_a_record_tells_it_through_optuna(
    tmp_path, make_journal, space_of
):
    make_journal(tmp_path, dict.fromkeys(KEYS, (0.01, 1000.0)))
    assert space_of()[KEYS[0]].high == 1000.0
    path = tmp_path / "study.journal"
    path.write_text('{"distribution": tor\n' + path.read_text())
    assert space_of() == {}
    path.unlink()
    assert space_of() == {}
