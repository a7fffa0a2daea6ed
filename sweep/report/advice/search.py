"""Advice from the search: which weights decide, where to look on, how far it has come."""

from __future__ import annotations

import math

import pandas as pd

from sweep.numbers import count, joined, number, percent, sentence
from sweep.report.advice.base import Advice, best_trials, n_best_words
from sweep.report.comparison.comparison import Comparison
from sweep.report.names import metric_of, weight_term

__all__ = [
    "at_the_edge",
    "beyond_the_ranges",
    "constraints",
    "decisive_weights",
    "failed_trials",
    "few_trials",
    "idle_weights",
    "range_of_the_best",
    "unchecked_length",
    "unfinished_trials",
]

_EDGE = 0.05  # of the width of a range
_NARROW = 0.3  # of the width of a range: what the best trials agree on
_DECISIVE = 0.25
_IDLE = 0.05
_TRIALS_PER_WEIGHT = 10


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


def unchecked_length(c: Comparison) -> list[Advice]:
    """Whether anybody has looked if the order of the trials holds in a longer training."""
    baseline, length = c.source.baseline, 1 if c.confirmation is None else c.confirmation.length
    if c.best is None or baseline is None or c.best.folder == baseline.folder or length > 1:
        return []
    text = (
        f"What wins {count(c.best.planned_epochs or 0, 'epoch')} need not win a longer training: "
        "search.confirm.top=1 search.confirm.length=10 trains the references and the best again, "
        "ten times as long."
    )
    return [Advice("unchecked_length", "caution", text)]


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


def few_trials(c: Comparison) -> list[Advice]:
    """Whether the search is too short for its number of weights."""
    # Trials outside the search space, such as one whose weights move, say nothing of its values.
    inside = c.complete.dropna(subset=[f"param.{key}" for key in c.parameters])
    n_complete, n_keys = len(inside), len(c.parameters)
    enough = n_complete >= _TRIALS_PER_WEIGHT * n_keys
    if c.best is None or not c.source.is_study or enough:
        return []
    last = int(c.trials["number"].max())
    text = (
        f"{count(n_complete, 'complete trial')} in the search space for "
        f"{count(n_keys, 'searched value')}: importances are rough, and more trials may find "
        f"better weights (the best so far is trial {c.best.number}; the last one is {last})."
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


def beyond_the_ranges(c: Comparison) -> list[Advice]:
    """Weights that a training ended with, where the ranges of the search do not hold them."""
    static = next((trial for trial in c.source.study.complete if trial.role == "static"), None)
    if static is None or static.params:
        return []
    found = []
    for key, space in c.space.items():
        term, stage = weight_term(key) or (None, None)
        if term not in static.weights or stage is not None or not space.is_range:
            continue
        if not space.holds(static.weights[term]):
            found.append(
                f"{_name(c, key)}, {number(static.weights[term])} (searched: {space.low:g} to "
                f"{space.high:g})"
            )
    if not found:
        return []
    text = (
        f"The weights that balanced the training lie outside the ranges of the search, where no "
        f"sampled trial comes: {joined(found)}. Wider ranges hold them; a search of shares "
        "(weighting=gradient_shares search=auto) needs none."
    )
    return [Advice("beyond_the_ranges", "caution", text)]


def _of_score(c: Comparison) -> pd.DataFrame:
    rows = c.importances[c.importances["metric"] == "score"]
    return rows.sort_values("importance", ascending=False, kind="stable")


def _name(c: Comparison, key: str) -> str:
    """A searched key in a sentence."""
    prefix = "the weight of " if weight_term(key) is not None else ""
    return f"{prefix}{c.parameters[key]}"
