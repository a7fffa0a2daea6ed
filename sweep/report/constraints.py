"""Constraints in sentences: which one blocks, and the trial that misses it least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sweep.numbers import above, change, joined
from sweep.records import Study
from sweep.records.feasibility import broken
from sweep.report.names import metric_of

__all__ = ["blocked_sentence", "constraint_sentence", "limits"]


def limits(names: Iterable[str], constraints: Mapping[str, float]) -> str:
    """``forces ≤ 1.05 × default and energy ≤ 1 × default``."""
    return joined([f"{metric_of(name).title} ≤ {constraints[name]:g} × default" for name in names])


def constraint_sentence(study: Study) -> str | None:
    """How many trials keep the constraints; None without constraints."""
    objective, default = study.objective, study.default
    if objective is None or not objective.constraints or not study.complete:
        return None
    text = limits(objective.constraints, objective.constraints)
    if default is None:
        return f"constraints ({text}) are not checked: trial 0, the default, is not complete"
    kept = f"{len(study.feasible)} of {len(study.complete)} complete trials"
    return f"constraints ({text}) are kept by {kept}"


def blocked_sentence(study: Study) -> str | None:
    """Which constraint keeps better trials out, where nothing but the default is left, or nothing.

    Names the closest of them, so that it can be taken all the same. None if no constraint blocks.
    """
    best, default = study.best, study.default
    if default is None or not study.blocked or (best is not None and best is not default):
        return None
    missed = [broken(trial, default) for trial in study.blocked]
    objective = study.blocked[0].objective
    constraints = {} if objective is None else objective.constraints
    names = [name for name in constraints if any(name in one for one in missed)]
    closest = study.blocked[0]
    misses = ", ".join(
        f"{metric_of(name).title} {above(constraints[name] + value, constraints[name])} ×"
        for name, value in missed[0].items()
    )
    assert closest.score is not None
    score = ""
    if default.score:
        score = f", score {change(closest.score / default.score - 1)}"
    within = f"no trial within {limits(names, constraints)}"
    lead = f"{within} beats the default weights" if best is not None else (
        f"no complete trial keeps {limits(names, constraints)}"
    )  # fmt: skip
    return (
        f"{lead}; the closest is trial {closest.number} ({misses}{score}), `--trial "
        f"{closest.number}` exports it"
    )
