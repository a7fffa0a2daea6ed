"""A study that goes on under another objective: its trials are judged again, and none is trained.

A study of Optuna's cannot take back what it was told of a trial, nor minimise another number of
values. So the trials go, with the same numbers and new values, into a new one, in which the study
goes on; the old one stays as it is. Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweep.errors import DamagedRecordError, InputError
from sweep.locks import LEASES, locked
from sweep.records import Trial
from sweep.records.judging import by_objective, score_of
from sweep.records.study_record import StudyRecord
from sweep.search.objectives import SCORE
from sweep.study.definition import changes, check_folder, differing
from sweep.study.history import FEASIBLE, FINISHED
from sweep.study.leases import Leases
from sweep.study.references import default_errors
from sweep.study.spec import StudySpec
from sweep.study.storage import GOES_ON_AS, names_of, open_storage

__all__ = ["judge_again"]

# What trials hold beside the notes of samplers and pruners, which are of the old values.
_KEPT = ("fixed_params", "grid_id", "search_space", "dashboard:", "artifacts:")


def judge_again(spec: StudySpec, record: StudyRecord) -> str | None:
    """Let a study go on under the objective of its configuration, if nothing else differs.

    Args:
        spec: The study as the configuration describes it.
        record: The same as ``study.json`` shall have it.

    Returns:
        What was done, in a line; None if there was nothing to do.

    Raises:
        InputError: if a trial is being trained, or cannot be judged by the new objective.
    """
    storage = open_storage(spec.storage_url, spec.folder)
    with locked(spec.folder / "locks" / "queue.lock"):
        names = names_of(storage, spec.name)
        if not any(study.study_name == names[-1] for study in storage.get_all_studies()):
            return None
        old = optuna.load_study(study_name=names[-1], storage=storage)
        before = old.user_attrs.get("definition")
        if before is None or not _only_the_objective(before, record.definition):
            return None
        trials = old.get_trials(deepcopy=False)
        check_folder(old, spec.folder)
        _check_that_none_is_trained(trials, spec)
        fresh = [_judged_again(trial, spec) for trial in trials]
        name = f"{spec.name}.objective{len(names)}"
        study = _create(storage, name, len(spec.objective.minimize))
        for trial in fresh:
            study.add_trial(trial)
        for key, value in {**old.user_attrs, "definition": dict(record.definition)}.items():
            study.set_user_attr(key, value)
        old.set_user_attr(GOES_ON_AS, name)  # from here on it counts
        _write_record(spec, record)
    n_finished = sum(trial.state in FINISHED for trial in trials)
    return (
        f"the study goes on under another objective ({changes(before, record.definition)}): "
        f"{n_finished} finished trials are judged again, none is trained for it"
    )


def _only_the_objective(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether nothing else differs; which epoch's parameters are kept is part of the training."""
    keys = list(differing(old, new))
    return bool(keys) and all(
        key.startswith("objective.") and key != "objective.epoch" for key in keys
    )


def _check_that_none_is_trained(trials: list[FrozenTrial], spec: StudySpec) -> None:
    leases = Leases(spec.folder / LEASES)
    for trial in trials:
        if trial.state == TrialState.RUNNING and leases.is_held(trial.number):
            raise InputError(
                f"{spec.folder}: trial {trial.number} is being trained under another objective; "
                "stop that search first, or give this one its own hydra.sweeper.study_name and "
                f"hydra.sweeper.reuse={spec.folder}"
            )


def _create(storage: BaseStorage, name: str, n_objectives: int) -> optuna.Study:
    """A new study; one that is there was left half-made."""
    if any(study.study_name == name for study in storage.get_all_studies()):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(
        study_name=name, storage=storage, directions=["minimize"] * n_objectives
    )


def _write_record(spec: StudySpec, record: StudyRecord) -> None:
    try:
        there = StudyRecord.read(spec.folder)
    except DamagedRecordError:
        there = None
    (record if there is None else replace(record, created=there.created)).write(spec.folder)


def _judged_again(old: FrozenTrial, spec: StudySpec) -> FrozenTrial:
    """A trial as Optuna would have been told of it under the new objective."""
    values: list[float] | None = None
    constraints: dict[str, float] = {}
    seen: dict[int, float] = {}
    attrs = {key: v for key, v in old.user_attrs.items() if key not in (SCORE, FEASIBLE)}
    if old.state in FINISHED or old.intermediate_values:
        trial = _read(old, spec)
        seen = _scores(trial, old, spec)
        if old.state in FINISHED:
            objectives = spec.objectives
            metrics = {k: v for k, v in trial.results.get("valid", {}).items() if v is not None}
            attrs[SCORE] = trial.score
            if old.state == TrialState.COMPLETE:
                assert trial.score is not None  # see _read
                values = objectives.values(trial.score, metrics)
            if objectives.constraints:
                constraints = objectives.violations(metrics, default_errors(spec.folder))
                attrs[FEASIBLE] = all(value <= 0 for value in constraints.values())
    new = create_trial(
        state=old.state,
        values=values,
        params=dict(old.params),
        distributions=dict(old.distributions),
        user_attrs=attrs,
        system_attrs={k: v for k, v in old.system_attrs.items() if k.startswith(_KEPT)},
        intermediate_values=seen,
        constraints=constraints or None,
    )
    new.datetime_start, new.datetime_complete = old.datetime_start, old.datetime_complete
    return new


def _read(old: FrozenTrial, spec: StudySpec) -> Trial:
    """The records of a trial, judged by the new objective.

    Raises:
        InputError: if they cannot be read, or lack what it asks for.
    """
    try:
        trial = Trial.read(spec.folder / "trials" / f"{old.number:04d}")
    except DamagedRecordError as error:
        raise InputError(
            f"{error}: cannot be judged by another objective; run the search with the old one "
            "first, which finishes the trial again"
        ) from error
    found = by_objective(trial, spec.objective)
    if trial.is_complete and not found.is_complete:
        raise InputError(
            f"{trial.folder}: {found.reason}, so it cannot be judged by this objective; give the "
            "search its own hydra.sweeper.study_name"
        )
    return found


def _scores(trial: Trial, old: FrozenTrial, spec: StudySpec) -> dict[int, float]:
    """The scores of the epochs that Optuna was told of, as it would be told now."""
    try:
        table = trial.metrics()
    except DamagedRecordError as error:
        raise InputError(f"{error}: cannot be judged by another objective") from error
    objective = spec.objective
    found, best = {}, math.inf
    for row in table.to_dict("records"):
        if row["split"] != "valid" or row["epoch"] not in old.intermediate_values:
            continue
        errors = {name: row.get(f"{objective.statistic}_{name}") for name in objective.metrics}
        known = {name: float(v) for name, v in errors.items() if v is not None and v == v}
        score = score_of(known, trial.scales, objective.powers)
        if score is None:
            raise InputError(
                f"{trial.folder}: an epoch lacks what this objective judges by "
                f"({', '.join(objective.metrics)}); give the search its own "
                "hydra.sweeper.study_name"
            )
        best = min(best, score)
        found[int(row["epoch"])] = best if objective.epoch == "best" else score
    return found
