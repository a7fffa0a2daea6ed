"""What the printed answer says of several objectives and of constraints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sweep.records.feasibility import constraints_of, feasible, validation_errors, violations
from sweep.records.front import Front, front_of
from sweep.records.summary import StudySummary
from sweep.report.names import metric_of
from sweep.report.numbers import change, number

__all__ = ["constraint_sentence", "print_objectives"]


def print_objectives(console: Console, study: StudySummary) -> None:
    """Print the Pareto front if there are several objectives, and how the constraints fared."""
    front = front_of([trial.content for trial in study.trials])
    if front is not None:
        console.print(_front_table(study, front))
    sentence = constraint_sentence(study)
    if sentence:
        console.print(f"\n{sentence}", highlight=False)


def constraint_sentence(study: StudySummary) -> str | None:
    """How many trials keep the constraints, or which comes nearest; None without constraints."""
    complete = [trial.content for trial in study.trials if trial.state == "COMPLETE"]
    constraints = constraints_of(complete[0]) if complete else {}
    if not constraints:
        return None
    text = " and ".join(
        f"{metric_of(name).title} error at most {factor:g} times that of the default weights"
        for name, factor in constraints.items()
    )
    default = study.references.get("default")
    if default is None:
        return f"constraints ({text}) are not checked: trial 0, the default, is not complete"
    kept = len(feasible(complete))
    if kept:
        return f"constraints ({text}) are kept by {kept} of {len(complete)} complete trials"
    reference = validation_errors(default.content)
    worst = {
        content["number"]: violations(validation_errors(content), reference, constraints)
        for content in complete
    }
    nearest = min(worst, key=lambda n: sum(max(value, 0.0) for value in worst[n].values()))
    misses = ", ".join(
        f"{metric_of(name).title} {constraints[name] + value:.3g} times"
        for name, value in worst[nearest].items()
        if value > 0
    )
    return f"no complete trial keeps the constraints ({text}); nearest: trial {nearest} ({misses})"


def _front_table(study: StudySummary, front: Front) -> Table:
    metrics = [metric_of(name) for name in front.minimize]
    titles = " and ".join([", ".join(m.title for m in metrics[:-1]), metrics[-1].title])
    table = Table(title=f"Pareto front of {titles} (validation), with the change against trial 0")
    table.add_column("trial", justify="right")
    for metric in metrics:
        table.add_column(f"{metric.title}\n{metric.unit}".strip(), justify="right")
    table.add_column("")
    roles: dict[int, list[str]] = {}
    for role, trial in study.references.items():
        roles.setdefault(trial.number, []).append("best score" if role == "best" else role)
    default = study.references.get("default")
    reference = None
    if default is not None:
        errors = {"score": default.score, **default.errors("valid")}
        reference = [errors.get(name) for name in front.minimize]
    for content, values in front.trials:
        cells = []
        for i, metric in enumerate(metrics):
            base = reference[i] if reference is not None else None
            shown = number(values[i] * metric.factor)
            cells.append(f"{shown} ({change(values[i] / base - 1)})" if base else shown)
        what = roles.get(content["number"], [])
        if content["number"] == front.knee:
            what = ["knee", *what]
        table.add_row(str(content["number"]), *cells, ", ".join(what))
    return table
