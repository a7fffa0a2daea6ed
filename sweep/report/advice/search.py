"""Advice from the search: which weights decide, where to look on, how far it has come."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweep.numbers import count, joined, number, percent, sentence
from sweep.report.advice.base import Advice, best_trials, n_best_words
from sweep.report.comparison.comparison import Comparison
from sweep.report.names import metric_of, weight_term

__all__ = [
    "at_the_edge",
    "clipped_steps",
    "constraints",
    "decisive_weights",
    "failed_trials",
    "few_trials",
    "idle_weights",
    "range_of_the_best",
    "still_falling",
    "unfinished_trials",
]

_EDGE = 0.05  # of the width of a range
_NARROW = 0.3  # of the width of a range: what the best trials agree on
_DECISIVE = 0.25
_IDLE = 0.05
_FALLING = 0.03
_LAST = 0.1  # the last tenth of the epochs
_TRIALS_PER_WEIGHT = 10
_CLIPPED = 0.5


def decisive_weights(c: Comparison) -> list[Advice]:
    """The weights that decide about the score."""
    rows = _of_score(c)
    rows = rows[rows["importance"] >= _DECISIVE]
    if rows.empty:
        return []
    words = []
    for _, row in rows.iterrows():
        text = f"{_name(c, row['parameter'])} ({percent(row['importance'])}"
        if pd.notna(row["correlation"]) and abs(row["correlation"]) >= 0.5:
            text += ", larger values went with a " + (
                "larger" if row["correlation"] > 0 else "smaller"
            ) + " score"  # fmt: skip
        words.append(f"{text})")
    n_trials = int(rows["n_trials"].iloc[0])
    text = f"What decides about the score, by importance over {n_trials} trials: {joined(words)}."
    return [Advice("decisive_weights", "hint", text)]


def clipped_steps(c: Comparison) -> list[Advice]:
    """Clipping that acts in most steps: then the common scale of the weights does, too."""
    if c.best is None:
        return []
    share = c.best.results.get("valid", {}).get("clipped")
    if share is None or share < _CLIPPED:
        return []
    limit = c.best.details.get("clip_grad")
    at = f" (trainer.clip_grad={limit:g})" if isinstance(limit, int | float) else ""
    text = (
        f"In {c.source.sentence_name(c.best)} {percent(share)} of the steps of its best epoch were "
        f"clipped{at}: the length of a step did not follow from the weights, and the same ratios "
        "at another scale are another training. Search it, too: "
        "'trainer.clip_grad=tag(log,interval(1,1000))'; or let the weights move "
        "(weighting=gradient_shares), whose gradient is short."
    )
    return [Advice("clipped_steps", "hint", text)]


def range_of_the_best(c: Comparison) -> list[Advice]:
    """The searched keys on whose values the best trials agree."""
    best = best_trials(c)
    if len(best) < 3:
        return []
    found = []
    for key, space in c.space.items():
        values = pd.to_numeric(best[f"param.{key}"], errors="coerce")
        if values.notna().all() and space.is_range:
            low, high = space.position(values.min()), space.position(values.max())
            if high - low <= _NARROW:
                found.append(
                    (
                        high - low,
                        f"{_name(c, key)} between {number(values.min())} and "
                        f"{number(values.max())} (searched: {space.low:g} to "
                        f"{space.high:g})",
                    )
                )
    if not found:
        return []
    text = f"{n_best_words(best)} agree on {joined([words for _, words in sorted(found)[:4]])}."
    return [Advice("range_of_the_best", "hint", sentence(text))]


def at_the_edge(c: Comparison) -> list[Advice]:
    """Values of the best trial at an end of their range, where the optimum may lie beyond."""
    if c.best is None or c.best.role == "default":  # the search found nothing there
        return []
    label = c.source.label(c.best)
    scores = _of_score(c)
    importance = dict(zip(scores["parameter"], scores["importance"], strict=True))
    found = []
    for key, space in c.space.items():
        value = c.value(label, f"param.{key}")
        if math.isnan(value) or not space.is_range or importance.get(key, 1.0) < _IDLE:
            continue
        position = space.position(value)
        if min(position, 1 - position) <= _EDGE:
            end = "lower" if position < 0.5 else "upper"
            found.append(
                f"{_name(c, key)}, {number(value)}, lies at the {end} end of its range "
                f"({space.low:g} to {space.high:g})"
            )
    if not found:
        return []
    text = f"The best value of {joined(found)}: a wider range may hold better ones."
    return [Advice("at_the_edge", "caution", text)]


def idle_weights(c: Comparison) -> list[Advice]:
    """Searched keys that hardly decide about any metric of the objective."""
    if c.importances.empty or c.best is None:
        return []
    wanted = {"score", *(c.best.objective.metrics if c.best.objective else ())}
    rows = c.importances[c.importances["metric"].isin(wanted)]
    largest = rows.sort_values("importance").groupby("parameter").tail(1).set_index("parameter")
    score = _of_score(c).set_index("parameter")["importance"]
    found = []
    for key in score.index[score < _IDLE]:
        top = largest.loc[key]
        words = f"{_name(c, key)} ({percent(score[key])}"
        if top["importance"] >= _DECISIVE:
            title = metric_of(top["metric"]).title
            words += f"; it decides about {title}, {percent(top['importance'])}"
        found.append(f"{words})")
    if not found:
        return []
    text = f"What hardly decides about the score, by importance: {joined(found)}."
    return [Advice("idle_weights", "hint", text)]


def still_falling(c: Comparison) -> list[Advice]:
    """Whether the best trial was still learning when its training ended."""
    if c.best is None or c.best.is_judged_anew:  # its table holds another score
        return []
    try:
        path = c.best.folder / "metrics.parquet"
        table = pq.read_table(path, columns=["epoch", "split", "score"])
    except (pa.ArrowException, OSError, ValueError):
        return []
    data = table.to_pandas()
    scores = data[data["split"] == "valid"].set_index("epoch")["score"].dropna().sort_index()
    n_last = max(1, round(_LAST * len(scores)))
    if len(scores) <= 2 * n_last:
        return []
    before, after = scores.iloc[-1 - n_last], scores.iloc[-1]
    if not (before > 0 and 1 - after / before >= _FALLING):
        return []
    text = (
        f"The score of {c.source.sentence_name(c.best)} was still falling when training ended, by "
        f"{percent(1 - after / before)} in the last {n_last} of {len(scores)} epochs: with longer "
        "training other weights may win."
    )
    return [Advice("still_falling", "caution", text)]


def few_trials(c: Comparison) -> list[Advice]:
    """Whether the search is too short for its number of weights."""
    n_complete, n_keys = len(c.complete), len(c.parameters)
    enough = n_complete >= _TRIALS_PER_WEIGHT * n_keys
    if c.best is None or not c.source.is_study or enough:
        return []
    last = int(c.trials["number"].max())
    text = (
        f"{count(n_complete, 'complete trial')} for {count(n_keys, 'searched value')}: importances "
        f"are rough, and more trials may find better weights (the best so far is trial "
        f"{c.best.number}; the last one is {last})."
    )
    return [Advice("few_trials", "caution", sentence(text))]


def unfinished_trials(c: Comparison) -> list[Advice]:
    """Trials that are running, pruned or stopped, and how they are shown."""
    counts = c.trials["state"].value_counts()
    words = [f"{counts[state]} {state.lower()}" for state in ("RUNNING", "PRUNED", "STOPPED")
             if state in counts]  # fmt: skip
    if not words:
        return []
    text = (
        f"{joined(words)}: such trials have seen fewer epochs; they are listed, but not ranked or "
        "compared."
    )
    return [Advice("unfinished_trials", "hint", sentence(text))]


def constraints(c: Comparison) -> list[Advice]:
    """How many trials break the study's constraints."""
    broken = [label for label, why in c.source.unranked.items() if "allowed" in why]
    if not broken:
        return []
    text = (
        f"{len(broken)} of {len(c.complete)} complete trials break a constraint and are not "
        f"ranked; {c.source.sentence_name(c.trial_of[broken[0]])}: {c.source.unranked[broken[0]]}."
    )
    return [Advice("constraints", "hint" if c.best is not None else "caution", text)]


def failed_trials(c: Comparison) -> list[Advice]:
    """Trials that failed, with the first reason."""
    failed = c.trials[c.trials["state"] == "FAILED"]
    if failed.empty:
        return []
    label = str(failed.index[0])
    name = c.source.sentence_name(c.trial_of[label])
    reason = failed.iloc[0]["reason"] or "no reason recorded"
    text = f"{len(failed)} of {len(c.trials)} trials failed; {name}: {reason}"
    return [Advice("failed_trials", "caution", text)]


def _of_score(c: Comparison) -> pd.DataFrame:
    rows = c.importances[c.importances["metric"] == "score"]
    return rows.sort_values("importance", ascending=False, kind="stable")


def _name(c: Comparison, key: str) -> str:
    """A searched key in a sentence."""
    prefix = "the weight of " if weight_term(key) is not None else ""
    return f"{prefix}{c.parameters[key]}"
