"""What matters: how much each searched key decides about each metric (PED-ANOVA, from Optuna)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.report.comparison.trial_table import metric_keys, parameter_keys

__all__ = ["MIN_TRIALS", "importances", "search_space"]

MIN_TRIALS = 8  # with fewer complete trials the density estimates of PED-ANOVA mean nothing
_TOP_TRIALS = 5  # as many must lie in the top quantile, by the recommendation of its authors
_SET_TRIAL_PARAM = 5  # operation code in Optuna's journal
_COLUMNS = ["metric", "parameter", "importance", "correlation", "n_trials"]
_MAX_LINES = 5000  # of a journal; trial 0, which sets every key, stands at its beginning


def importances(table: pd.DataFrame, space: Mapping[str, Any]) -> pd.DataFrame:
    """Importance of every searched key for every validation metric, over the complete trials.

    PED-ANOVA compares how the best quarter or so of the trials (at least five, at most half) is
    spread over a key's range with how all are. The rank correlation says in which direction: it is
    positive if a larger value goes with a larger error.

    Args:
        table: Table of the trials.
        space: Distributions of searched keys; those of other keys are as wide as their values.

    Returns:
        Columns ``metric``, ``parameter``, ``importance`` (they add up to 1 for each metric),
        ``correlation`` (NaN for values that are no numbers), ``n_trials``; without rows if fewer
        than :data:`MIN_TRIALS` are complete.
    """
    keys = parameter_keys(table)
    complete = table[table["state"] == "COMPLETE"].dropna(subset=[f"param.{k}" for k in keys])
    if not keys or len(complete) < MIN_TRIALS:
        return pd.DataFrame(columns=_COLUMNS)
    space = {
        key: space.get(key) or _inferred([_plain(v) for v in complete[f"param.{key}"]])
        for key in keys
    }
    columns = {key: f"valid.{key}" for key in metric_keys(table)}
    study = _study(complete, keys, space, [c for c in columns.values() if c in complete])
    rows = []
    for metric, column in columns.items():
        known = complete.dropna(subset=[column]) if column in complete else complete.iloc[:0]
        if len(known) < MIN_TRIALS or known[column].nunique() < 2:
            continue
        values = _ped_anova(study, column, len(known))
        for key in keys:
            numbers = pd.to_numeric(known[f"param.{key}"], errors="coerce")
            varies = numbers.notna().all() and numbers.nunique() > 1
            rows.append(
                {
                    "metric": metric,
                    "parameter": key,
                    "importance": values.get(key, 0.0),
                    "correlation": numbers.rank().corr(known[column].rank()) if varies else None,
                    "n_trials": len(known),
                }
            )
    return pd.DataFrame(rows, columns=_COLUMNS)


def search_space(folder: Path, table: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    """The Optuna distribution of every key that the study's journal tells.

    Args:
        folder: Folder of the study.
        table: Trials; a distribution that does not hold all their values is of another search.
        keys: The searched keys.
    """
    return {
        key: distribution
        for key, distribution in _from_journal(folder / "study.journal", set(keys)).items()
        if all(_contains(distribution, _plain(value)) for value in table[f"param.{key}"])
    }


def _study(
    table: pd.DataFrame, keys: list[str], space: Mapping[str, Any], columns: list[str]
) -> Any:
    """An Optuna study in memory, whose trials hold the metrics as attributes."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)
    for row in table.to_dict("records"):
        study.add_trial(
            optuna.trial.create_trial(
                params={key: _plain(row[f"param.{key}"]) for key in keys},
                distributions=dict(space),
                value=0.0,
                user_attrs={column: float(row[column]) for column in columns},
            )
        )
    return study


def _ped_anova(study: Any, column: str, n_trials: int) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    quantile = min(0.5, max(0.25, _TOP_TRIALS / n_trials))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keys with a single value have no importance
        # A trial without the metric is left out, as NaN is not finite.
        found = get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.user_attrs[column]
        )
    return {key: float(value) for key, value in found.items()}


def _from_journal(path: Path, keys: set[str]) -> dict[str, Any]:
    """Distributions as the first trials of a study recorded them."""
    from optuna.distributions import json_to_distribution

    found: dict[str, Any] = {}
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for _, line in zip(range(_MAX_LINES), lines, strict=False):
                if '"distribution"' not in line:
                    continue
                try:
                    record = json.loads(line)
                    if record["op_code"] == _SET_TRIAL_PARAM and record["param_name"] in keys:
                        name = record["param_name"]
                        found.setdefault(name, json_to_distribution(record["distribution"]))
                except (ValueError, KeyError, TypeError):  # a torn or foreign line
                    continue
                if len(found) == len(keys):
                    break
    except OSError:
        return {}
    return found


def _plain(value: Any) -> Any:
    """A value without numpy's type; Optuna asks for Python's own."""
    return value.item() if hasattr(value, "item") else value


def _contains(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _inferred(values: list[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(value, int | float) and type(value) is not bool for value in values):
        return FloatDistribution(min(values), max(values), log=min(values) > 0)
    return CategoricalDistribution(sorted(set(values), key=str))
