"""Tables and figure of what :mod:`bench_weighting` measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.quantities import QUANTITIES

LABELS = {
    "default": "default weights",
    "balanced": "balanced at the start",
    "gradient_shares": "gradient shares (forces 2)",
    "equal_shares": "gradient shares, all equal",
    "static": "static copy of gradient shares",
    "static_unclipped": "the same, not clipped",
    "static_median": "the same, clipped at 3 medians",
    "loss_shares": "loss shares (forces 2)",
    "uncertainty": "uncertainty weighting",
    "imtl_l": "IMTL-L",
    "dwa": "dynamic weight average",
    "famo": "FAMO",
    "stch": "smooth Tchebycheff",
    "geometric_mean": "geometric mean",
    "study": "the shipped study: best of 10",
    "study_best": "best of the shipped study, as short",
    "searched": "searched weights: best of 24",
    "searched_best": "best searched weights, as short",
    "random": "random weights: best of 24",
    "last_stage": "shares of the last stage: best of 9",
}
TRAININGS = {"balanced": 1.1, "static": 2.0, "static_unclipped": 2.0, "static_median": 2.0}

Line = Mapping[str, Any]


def groups(lines: Sequence[Line]) -> dict[tuple[str, float], dict[str, list[Line]]]:
    """Lines of each experiment and length, and in them of each kind, in order of the labels."""
    found: dict[tuple[str, float], dict[str, list[Line]]] = {}
    for kind in LABELS:
        for line in lines:
            if line["kind"] == kind and line["test_score"] is not None:
                where = found.setdefault((line["experiment"], line["length"]), {})
                where.setdefault(kind, []).append(line)
    return found


def tables(lines: Sequence[Line]) -> str:
    """Scores, costs and errors as Markdown, a table for each experiment and length."""
    return "\n\n".join(
        f"### `{experiment}`{f', {length:g} times as long' if length > 1 else ''}\n\n{table(kinds)}"
        for (experiment, length), kinds in groups(lines).items()
    )


def table(kinds: Mapping[str, Sequence[Line]]) -> str:
    """Score, cost and errors of each kind, and what got worse than the default with its seeds."""
    names = list(next(iter(kinds.values()))[0]["test_errors"])
    head = ["weights", "seeds", "test score", "trainings", "CPU s"]
    head += [f"{name} ({QUANTITIES[name].display_unit})" for name in names]
    head.append("worse than the default")
    rows = [head, ["---", *["---:"] * (len(head) - 2), "---"]]
    for kind, lines in kinds.items():
        scores = [line["test_score"] for line in lines]
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        seconds = [line["cpu_seconds"] for line in lines if not line["is_continued"]]
        means = _means(lines, names)
        pair = (kinds.get("default", ()), lines)
        seeds = set.intersection(*({line["seed"] for line in of} for of in pair))
        same = [[line for line in of if line["seed"] in seeds] for of in pair]
        default, own = (_means(of, names) if seeds else {} for of in same)
        worse = [
            f"{name} +{100 * (own[name] / default[name] - 1):.0f} %"
            for name in own
            if own[name] > 1.01 * default[name]
        ]
        rows.append([
            LABELS[kind], str(len(lines)), f"{statistics.mean(scores):.4f}{spread}",
            f"{_trainings(kind, lines):.3g}",
            f"{statistics.mean(seconds):.0f}" if seconds else "-",
            *(f"{QUANTITIES[name].display_factor * means[name]:.3g}" for name in names),
            ", ".join(worse) if kind != "default" else "",
        ])  # fmt: skip
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _trainings(kind: str, lines: Sequence[Line]) -> float:
    given = TRAININGS.get(kind, 1.0)
    return statistics.mean(line.get("trainings", given) for line in lines)


def _means(lines: Sequence[Line], names: Sequence[str]) -> dict[str, float]:
    return {name: statistics.mean(line["test_errors"][name] for line in lines) for name in names}


def draw(lines: Sequence[Line], folder: Path) -> None:
    """Test score of every training by experiment and kind, as ``weighting.png``."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator, NullLocator

    found = groups(lines)
    figure, axes = plt.subplots(
        1, len(found), figsize=(1.2 + 2.6 * len(found), 2.8), squeeze=False, sharey=True
    )
    kinds = [kind for kind in LABELS if any(kind in of for of in found.values())]
    for axis, ((experiment, length), of) in zip(axes[0], found.items(), strict=True):
        for kind, measured in of.items():
            scores = [line["test_score"] for line in measured]
            row = len(kinds) - kinds.index(kind)
            axis.plot(scores, [row] * len(scores), "o", color="#0072b2", alpha=0.5, ms=4)
            axis.plot([statistics.mean(scores)], [row], "|", color="black", ms=14, mew=2)
        axis.set_xscale("log")
        axis.set_title(f"{experiment}{'' if length == 1 else f' × {length:g}'}", fontsize=9)
        axis.set_xlabel("test score", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(4))  # a log locator has none for some of them
        axis.xaxis.set_major_formatter("{x:.3g}")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.tick_params(which="both", labelsize=7)
        axis.grid(axis="x", which="both", alpha=0.3)
        axis.set_yticks(range(len(kinds), 0, -1), [LABELS[kind] for kind in kinds], fontsize=8)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "weighting.png", dpi=110)
