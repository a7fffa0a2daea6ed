"""The comparison as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweep.records.weights_file import loss_block
from sweep.report.advice.rules import Advice, advise
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.data_files import file_prefix
from sweep.report.comparison.what_if import CAVEAT
from sweep.report.figures import plots, plots_maps, plots_progress
from sweep.report.figures.data import gradient_bars, what_if_bars
from sweep.report.figures.explorer import explorer
from sweep.report.figures.palette import TermStyle, term_styles
from sweep.report.figures.plots_base import Spec
from sweep.report.names import titles_of
from sweep.report.page.tables import (
    PageTable,
    answer_table,
    balance_table,
    difference_table,
    error_table,
    study_table,
    type_table,
)
from sweep.report.recommendation import Recommendation, recommend

__all__ = ["render_page"]

_FOLDER = Path(__file__).parent / "files"


@dataclass(frozen=True)
class _Figure:
    """A figure of the page: its id, its caption, the file name of its data, how it is drawn."""

    id: str
    caption: str
    csv: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class _Study:
    """What the template shows of one study."""

    key: str
    prefix: str
    comparison: Comparison
    block: str | None
    take: Recommendation | None
    score_note: str
    advice: list[Advice]
    answer: PageTable | None
    types: list[PageTable]
    errors: PageTable
    balance: PageTable
    styles: dict[str, TermStyle]
    figures: dict[str, list[_Figure]]
    has_pareto: bool
    has_explorer: bool
    provenance: list[tuple[str, str]]


def render_page(
    comparisons: Sequence[Comparison],
    data: Mapping[str, str],
    *,
    folders: Mapping[str, str],
    refresh: int | None = None,
) -> str:
    """The page as text.

    Args:
        comparisons: The studies.
        data: Every figure's data as CSV, by file name; the page offers them for download.
        folders: Folder of every study as the user gave it, by the study's name, for commands.
        refresh: Seconds after which the browser shall load the page again; None for never.
    """
    studies, payload = [], {}
    for i, c in enumerate(comparisons):
        key = f"s{i}"
        study, drawn = _study(key, c, file_prefix(i, len(comparisons)))
        studies.append(study)
        payload[key] = drawn
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    scripts = [_plotly(), (_FOLDER / "page.js").read_text(encoding="utf-8")]
    # Only these two scripts may run, and nothing may be loaded from anywhere.
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(_digest(script) for script in scripts)}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
        ]
    )
    scatter = plots.study_scatter(comparisons)
    figures = {} if scatter is None else {"studies-scatter": scatter}
    names = [c.source.name for c in comparisons]
    return environment.get_template("page.html.j2").render(
        title=" and ".join(names),
        policy=policy,
        refresh=refresh,
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        payload=Markup(script_json({"studies": payload, "figures": figures, "csv": dict(data)})),
        studies=studies,
        overview=study_table(comparisons) if len(comparisons) > 1 else None,
        differences=difference_table(comparisons) if len(comparisons) > 1 else None,
        scatter=scatter is not None,
        folders=folders,
        caveat=CAVEAT,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        files=sorted(data),
    )


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _study(key: str, c: Comparison, prefix: str) -> tuple[_Study, dict[str, Any]]:
    figures: dict[str, list[tuple[str, str, Spec | None]]] = {
        "change": [("", "change", plots.change_bars(c))],
        "learning": [("", "learning", spec) for spec in plots_progress.learning_curves(c)],
        "search": [("", "trials", spec) for spec in plots_progress.search_history(c)],
        "parallel": [("", "scatter", plots_progress.parallel_coordinates(c))],
        "shares": [("", "shares", plots_maps.share_map(c))],
        "history": [(label, "evolution", plots.share_history(c, label)) for label in c.chosen],
        "weights": [(label, "evolution", plots.weight_history(c, label)) for label in c.chosen],
        "gradients": [("", "gradients", plots.stacked_bars(gradient_bars(c)))],
        "conflicts": [
            (label, "conflicts", plots_maps.conflict_matrix(c, label)) for label in c.chosen
        ],
        "importance": [("", "importance", plots_maps.importance_map(c))],
        "what_if": [("", "what_if", plots.stacked_bars(what_if_bars(c)))],
    }
    made = {
        group: [
            _Figure(f"{key}-{group}-{i}", caption, f"{prefix}{csv}.csv", spec)
            for i, (caption, csv, spec) in enumerate(entries)
            if spec is not None
        ]
        for group, entries in figures.items()
    }
    free = explorer(c)
    take = recommend(c.source.study, c.confirmation)
    study = _Study(
        key=key,
        prefix=prefix,
        comparison=c,
        block=loss_block(take.trial.stages) if take is not None and take.trial.stages else None,
        take=take,
        score_note=_score_note(c),
        advice=advise(c),
        answer=answer_table(c),
        types=[
            table
            for kind in ("config_type", "element", "size")
            if (table := type_table(c, kind)) is not None
        ],
        errors=error_table(c),
        balance=balance_table(c),
        styles=term_styles(c.terms),
        figures=made,
        has_pareto=free is not None and free["pareto"] is not None,
        has_explorer=free is not None and bool(free["weights"]),
        provenance=_provenance(c),
    )
    drawn = {
        "figures": {figure.id: figure.spec for group in made.values() for figure in group},
        "explorer": free,
        "study": c.source.is_study,
    }
    return study, drawn


def _score_note(c: Comparison) -> str:
    """What the score is, in words; empty without an objective."""
    objective = c.best.objective if c.best is not None else None
    if objective is None:
        return ""
    names = titles_of(objective.powers)
    kind = "weighted geometric mean" if objective.exponents else "geometric mean"
    return (
        f"Smaller is better. The score is the {kind} of the "
        f"{objective.statistic.upper()} of {', '.join(names)}, each divided by its standard "
        "deviation in the training set."
    )


def _provenance(c: Comparison) -> list[tuple[str, str]]:
    """Where the best trial's numbers come from."""
    if c.best is None:
        return []
    content, objective = c.best.details, c.best.objective
    judged = [] if objective is None else titles_of(objective.powers)
    entries = [
        ("folder", str(c.best.folder)),
        ("seed", content.get("seed")),
        ("device", content.get("device")),
        ("precision", content.get("dtype")),
        ("parameters of the model", content.get("n_parameters")),
        (
            "objective",
            "" if objective is None else f"{objective.statistic} of {', '.join(judged)}",
        ),
        ("finished", content.get("finished")),
        ("git commit", content.get("git_commit")),
        ("versions", ", ".join(f"{k} {v}" for k, v in (content.get("versions") or {}).items())),
    ]
    return [(name, str(value)) for name, value in entries if value not in (None, "")]


def _plotly() -> str:
    """plotly.js, as plotly's package ships it."""
    script = files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    # Inside a script element only an end tag needs care; in a string or comment \/ means /.
    return script.replace("</script", "<\\/script")


def _digest(script: str) -> str:
    hashed = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(hashed).decode('ascii')}'"
