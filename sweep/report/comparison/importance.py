"""What matters: how much each searched key decides about each metric (PED-ANOVA, from Optuna)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sweep.records import Dimension, Study
from sweep.report.comparison.trial_table import metric_keys, parameter_keys

__all__ = ["MIN_TRIALS", "importances", "search_space"]

MIN_TRIALS = 8  # with fewer complete trials the density estimates of PED-ANOVA mean nothing
_TOP_TRIALS = 5  # as many must lie in the top quantile, by the recommendation of its authors
_COLUMNS = ["metric", "parameter", "importance", "correlation", "n_trials"]


def importances(table: pd.DataFrame, space: Mapping[str, Dimension]) -> pd.DataFrame:
    """Importance of every searched key for every validation metric, over the complete trials.

    PED-ANOVA compares how the best quarter or so of the trials (at least five, at most half) is
    spread over a key's range with how all are. The rank correlation says in which direction: it is
    positive if a larger value goes with a larger error.

    Args:
        table: Table of the trials.
        space: The values among which keys are searched; of other keys those that occur.

    Returns:
        Columns ``metric``, ``parameter``, ``importance`` (they add up to 1 for each metric),
        ``correlation`` (NaN for values that are no numbers), ``n_trials``; without rows if fewer
        than :data:`MIN_TRIALS` are complete.
    """
    keys = parameter_keys(table)
    complete = table[table["state"] == "COMPLETE"].dropna(subset=[f"param.{k}" for k in keys])
    if not keys or len(complete) < MIN_TRIALS:
        return pd.DataFrame(columns=_COLUMNS)
    from sweep.search.dimensions import to_distribution

    distributions = {
        key: to_distribution(space.get(key) or _inferred(complete[f"param.{key}"])) for key in keys
    }
    columns = {key: f"valid.{key}" for key in metric_keys(table)}
    study = _study(complete, keys, distributions, [c for c in columns.values() if c in complete])
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


def search_space(study: Study, keys: Sequence[str]) -> dict[str, Dimension]:
    """The values among which every key was searched, as far as that is known.

    Args:
        study: The study; one of a version that wrote no ``study.json`` is asked through Optuna.
        keys: The searched keys; one whose values do not all lie in its range is left out.
    """
    space = study.space or _from_optuna(study.folder)
    return {
        key: space[key]
        for key in keys
        if key in space
        and all(space[key].holds(t.params[key]) for t in study.complete if key in t.params)
    }


def _from_optuna(folder: Path) -> dict[str, Dimension]:
    """The search space as the trials of a journal tell it through Optuna's own reader."""
    path = folder / "study.journal"
    if not path.is_file():
        return {}
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from sweep.search.dimensions import to_dimension

    space: dict[str, Dimension] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            storage = JournalStorage(JournalFileBackend(str(path)))
            trials = [
                trial
                for study in storage.get_all_studies()
                if not study.study_name.endswith(".confirm")
                for trial in storage.get_all_trials(study._study_id, deepcopy=False)
            ]
        except Exception:  # a damaged journal: reports say less without the ranges
            return {}
    for trial in trials:
        for key, distribution in trial.distributions.items():
            space.setdefault(key, to_dimension(distribution))
    return space


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


def _plain(value: Any) -> Any:
    """A value without numpy's type; Optuna asks for Python's own."""
    return value.item() if hasattr(value, "item") else value


def _inferred(column: pd.Series) -> Dimension:
    """A range as wide as the values."""
    values = [_plain(value) for value in column]
    if all(isinstance(value, int | float) and type(value) is not bool for value in values):
        return Dimension("float", min(values), max(values), log=min(values) > 0)
    return Dimension("choice", choices=tuple(sorted(set(values), key=str)))
