"""What a share buys, and which terms could go, where the trials can tell."""

from __future__ import annotations

import math

from sweep.numbers import change, count, joined, number, percent, signed
from sweep.records import Trial
from sweep.report.advice.base import NOTICEABLE, Advice
from sweep.report.advice.terms import PARALLEL, gradient_pairs
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.effects import Effect, effects, term_of
from sweep.report.names import metric_of
from sweep.report.spread import SIGNIFICANCE

__all__ = ["terms_that_can_go", "what_a_share_buys"]

_STEP = 2.0
_N_TOLD = 3
_IDLE = 0.05  # importance
_NOISE = 0.05  # of the score between two seeds, where nobody has trained several
_TURNED_DOWN = 0.1  # smallest over largest value: more says nothing of a term that is gone


def what_a_share_buys(c: Comparison) -> list[Advice]:
    """Which share or weight lowers which error, and what it costs the others."""
    if c.best is None:
        return []
    found = _effects(c)
    certain = [one for one in found if one.p * len(found) < SIGNIFICANCE]
    words: list[tuple[float, str]] = []
    for one in certain:
        value = _value(c, c.best, one.parameter)
        ratio = _STEP if one.slope < 0 else 1 / _STEP
        gain = one.change(ratio)
        if value is None or gain > -NOTICEABLE or not one.low <= value * ratio <= one.high:
            continue
        others = [o for o in certain if o.parameter == one.parameter and o.metric != one.metric]
        costs = [
            f"{metric_of(o.metric).title} {change(o.change(ratio))}"
            for o in others
            if o.change(ratio) >= NOTICEABLE
        ]
        at = f", at {joined(costs)}" if costs else ""
        words.append(
            (
                gain,
                f"{metric_of(one.metric).title} {change(gain)}: {one.parameter}="
                f"{number(value * ratio)} instead of {number(value)}{at}",
            )
        )
    if not words:
        return []
    n = min(one.n for one in certain)
    text = (
        f"What {count(n, 'trial')} say of the dial, from {c.source.sentence_name(c.best)} on: "
        f"{'; '.join(text for _, text in sorted(words)[:_N_TOLD])}."
    )
    return [Advice("what_a_share_buys", "hint", text)]


def terms_that_can_go(c: Comparison) -> list[Advice]:
    """Terms without which nothing gets worse beyond the noise, or that nobody can tell."""
    if c.best is None or not c.source.is_study or len(c.best.stages) == 0:
        return []
    noise, is_known = _noise(c)
    on = [name for name, weight in c.best.weights.items() if weight > 0]
    if len(on) < 2 or len(c.complete) < 2:
        return []
    found = _effects(c)
    words, unsure = [], False
    for term in on:
        how = _trained_without(c, term, noise) or _turned_down(c, term, found, noise)
        if how is not None:
            words.append(f"{term} ({how})")
        else:
            unsure = True
    seeds = "the spread of the seeds" if is_known else "taken for the spread of the seeds"
    scale = f"{percent(noise)}, {seeds}"
    if words:
        text = f"At no cost beyond the noise ({scale}) could go: {joined(words)}."
        return [Advice("terms_that_can_go", "hint", text)]
    if not unsure:
        return []
    candidate, why = _candidate(c, on)
    text = (
        f"Whether a term could go at no cost beyond the noise ({scale}) cannot be told from these "
        f"trials. 'loss.{candidate or on[-1]}=choice(on,off)' trains some without it"
        f"{why and f': {candidate} {why}'}."
    )
    return [Advice("terms_that_can_go", "hint", text)]


def _candidate(c: Comparison, on: list[str]) -> tuple[str, str]:
    """The term that is most likely of no use, and why; empty if none stands out."""
    for cosine, term, other in gradient_pairs(c)[::-1]:
        if cosine >= PARALLEL and term in on and other in on:
            return other, f"does the work of {term} (cosine of their gradients {signed(cosine)})"
    if not c.importances.empty:
        rows = c.importances[c.importances["metric"].isin(["score", *c.asked])]
        largest = rows.groupby("parameter")["importance"].max().sort_values()
        for key, importance in largest.items():
            named = term_of(str(key))
            if named in on and importance < _IDLE:
                return str(named), f"decides {percent(importance)} of an error at most"
    return "", ""


def _effects(c: Comparison) -> list[Effect]:
    return effects(c.trials, c.space, ["score", *sorted(c.asked)])


def _value(c: Comparison, trial: Trial, key: str) -> float | None:
    """The value of a key in a trial; that of the default where it is no point of the space."""
    value = c.value(c.source.label(trial), f"param.{key}")
    if math.isnan(value):
        record = c.source.study.record
        found = None if record is None else record.definition.get(f"default {key}")
        value = float(found) if isinstance(found, int | float) else math.nan
    return value if value > 0 else None


def _noise(c: Comparison) -> tuple[float, bool]:
    """Relative spread of the best trial's score between seeds, and whether it was measured."""
    if c.confirmation is not None and c.best is not None:
        candidate = c.confirmation.candidate(c.best.number)
        spread = None if candidate is None else candidate.spread("valid", "score")
        if spread is not None and spread.deviation and spread.mean:
            return spread.deviation / spread.mean, True
    return _NOISE, False


def _trained_without(c: Comparison, term: str, noise: float) -> str | None:
    """A complete trial without the term that is as good as the best."""
    assert c.best is not None
    best = c.best.errors()
    for label in c.complete.index:
        trial = c.trial_of[str(label)]
        weights = trial.weights if trial.stages else {term: 1.0}
        if weights.get(term, 0.0) > 0 or trial.score is None or c.best.score is None:
            continue
        errors = trial.errors()
        asked = [name for name in c.asked if best.get(name)]
        if trial.score <= c.best.score * (1 + noise) and all(
            errors.get(name, math.inf) <= best[name] * (1 + noise) for name in asked
        ):
            return f"{c.source.sentence_name(trial)} trained without it"
    return None


def _turned_down(c: Comparison, term: str, found: list[Effect], noise: float) -> str | None:
    """The trials show that no error rises beyond the noise where the term has next to nothing."""
    own = [one for one in found if term_of(one.parameter) == term]
    measured = {one.metric for one in own}
    if not own or not {"score", *c.asked} <= measured:
        return None
    ratio = own[0].low / own[0].high
    if ratio > _TURNED_DOWN or any(one.worst(ratio) > noise for one in own):
        return None
    key, low, high = own[0].parameter, number(own[0].low), number(own[0].high)
    return f"{key} from {high} down to {low}: no error rises by more"
