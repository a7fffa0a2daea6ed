"""The Pareto front of a study of several objectives, as a table."""

from __future__ import annotations

from rich.table import Table

from sweep.console import make_table
from sweep.numbers import joined, number, with_change
from sweep.records import Study
from sweep.records.front import Front
from sweep.report.names import metric_of

__all__ = ["front_table"]


def front_table(study: Study, front: Front) -> Table:
    """The trials on the front, with their changes against the default."""
    metrics = [metric_of(name, study) for name in front.minimize]
    default = study.default
    errors = {} if default is None else {"score": default.score, **default.errors("valid")}
    rows = []
    for trial, values in front.trials:
        cells = []
        for metric, value in zip(metrics, values, strict=True):
            base = errors.get(metric.key)
            ratio = value / base - 1 if base and trial is not default else None
            cells.append(with_change(number(value * metric.factor), ratio))
        roles = [role for role, one in study.references.items() if one is trial]
        rows.append([trial.number, ", ".join(roles), *cells])
    titles = joined([metric.title for metric in metrics])
    return make_table(
        f"Pareto front of {titles} (validation), with the change against trial 0",
        ["trial", "", *(f"{metric.title}\n{metric.unit}".strip() for metric in metrics)],
        rows, align="rl",
    )  # fmt: skip
