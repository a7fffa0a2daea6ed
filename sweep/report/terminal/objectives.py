"""What the printed answer says of several objectives and of constraints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sweep.numbers import change, number
from sweep.records import Study
from sweep.records.feasibility import broken
from sweep.records.front import Front
from sweep.report.names import metric_of

__all__ = ["constraint_sentence", "print_objectives"]


def print_objectives(console: Console, study: Study) -> None:
    """Print the Pareto front if there are several objectives, and how the constraints fared."""
    if study.front is not None:
        console.print(_front_table(study, study.front))
    sentence = constraint_sentence(study)
    if sentence:
        console.print(f"\n{sentence}", highlight=False)


def constraint_sentence(study: Study) -> str | None:
    """How many trials keep the constraints, or which comes nearest; None without constraints."""
    complete = study.complete
    objective = complete[0].objective if complete else None
    if objective is None or not objective.constraints:
        return None
    text = " and ".join(
        f"{metric_of(name).title} error at most {factor:g} times that of the default weights"
        for name, factor in objective.constraints.items()
    )
    default = study.default
    if default is None:
        return f"constraints ({text}) are not checked: trial 0, the default, is not complete"
    kept = len(study.feasible)
    if kept:
        return f"constraints ({text}) are kept by {kept} of {len(complete)} complete trials"
    excess = {trial.number: broken(trial, default) for trial in complete}
    nearest = min(excess, key=lambda number: sum(excess[number].values()))
    misses = ", ".join(
        f"{metric_of(name).title} {objective.constraints[name] + value:.3g} times"
        for name, value in excess[nearest].items()
    )
    return f"no complete trial keeps the constraints ({text}); nearest: trial {nearest} ({misses})"


def _front_table(study: Study, front: Front) -> Table:
    metrics = [metric_of(name) for name in front.minimize]
    titles = " and ".join([", ".join(m.title for m in metrics[:-1]), metrics[-1].title])
    table = Table(title=f"Pareto front of {titles} (validation), with the change against trial 0")
    table.add_column("trial", justify="right")
    for metric in metrics:
        table.add_column(f"{metric.title}\n{metric.unit}".strip(), justify="right")
    table.add_column("")
    roles: dict[int, list[str]] = {}
    for role, reference_trial in study.references.items():
        roles.setdefault(reference_trial.number, []).append(
            "best score" if role == "best" else role
        )
    default = study.default
    reference = None
    if default is not None:
        errors = {"score": default.score, **default.errors("valid")}
        reference = [errors.get(name) for name in front.minimize]
    for trial, values in front.trials:
        cells = []
        for i, metric in enumerate(metrics):
            base = reference[i] if reference is not None else None
            shown = number(values[i] * metric.factor)
            cells.append(f"{shown} ({change(values[i] / base - 1)})" if base else shown)
        what = roles.get(trial.number, [])
        if trial is front.knee:
            what = ["knee", *what]
        table.add_row(str(trial.number), *cells, ", ".join(what))
    return table
