"""Advice from the balance: terms that take too much or nothing, terms that fight or agree."""

from __future__ import annotations

import pandas as pd

from sweep.numbers import count, joined, number, percent, percent_range, sentence, signed
from sweep.records.balance import DOMINATING_SHARE, STARVED_SHARE
from sweep.report.advice.base import Advice, best_trials, n_best_words, subject
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.names import metric_of

__all__ = [
    "PARALLEL",
    "conflicts",
    "dominating_terms",
    "early_gradients",
    "gradient_pairs",
    "parallel_terms",
    "raised_terms",
    "starved_terms",
]

_HARM = 0.05  # relative change of an error that is worth a sentence
_FELT = 0.05  # share of the gradient at which a term is felt, however small its value
_CONFLICT = -0.3
PARALLEL = 0.95
_N_PAIRS = 3


def dominating_terms(c: Comparison) -> list[Advice]:
    """Terms that took nearly all of the loss in a trial that did badly, and not in the best."""
    best = best_trials(c)
    found = []
    for term in c.terms:
        shares = _last_shares(c, term)
        bad = [
            label
            for label in c.complete.index.difference(best.index, sort=False)
            if (b := c.balance(str(label))) and b.dominating and b.dominant == term
        ]
        others = shares.reindex(best.index).dropna()
        if not bad or others.empty or not others.max() < DOMINATING_SHARE:
            continue  # nothing to compare it with, or the best do the same
        worst = max(bad, key=lambda label: shares[label])
        text = (
            f"{term} took {percent(shares[worst])} of the loss in {subject(c, worst)} and "
            f"{_harm(c, worst)}; {n_best_words(best)} gave it "
            f"{percent_range(others.min(), others.max())}."
        )
        found.append(Advice("dominating_terms", "hint", text))
    return found


def starved_terms(c: Comparison) -> list[Advice]:
    """Terms whose share is next to nothing in all of the best trials."""
    best = best_trials(c)
    if not len(best):
        return []
    gradients = _gradient_shares(c)
    found = []
    for term in c.terms:
        shares = _last_shares(c, term).reindex(best.index)
        if shares.isna().any() or not (shares < STARVED_SHARE).all() or not _on(c, term, best):
            continue
        text = (
            f"{term} made up {percent_range(shares.min(), shares.max())} of the loss in "
            f"{n_best_words(best)}"
        )
        felt = gradients.get(term)
        if felt is not None and felt >= _FELT:
            text += (
                f", but {percent(felt)} of the gradients in the best one: a small value, yet "
                "training feels it. Do not judge this term by its share."
            )
        else:
            tail = "" if felt is None else f" and {percent(felt)} of the gradients in the best one"
            text += f"{tail}: training hardly sees it. Try without it, or with a larger weight."
        found.append(Advice("starved_terms", "hint", text))
    return found


def raised_terms(c: Comparison) -> list[Advice]:
    """Terms that the baseline starves and the best trials do not."""
    baseline = c.source.baseline
    if baseline is None or baseline.balance is None:
        return []
    best = best_trials(c)
    if c.source.label(baseline) in best.index:
        return []
    raised = []
    for term in baseline.balance.starved:
        shares = _last_shares(c, term).reindex(best.index).dropna()
        if len(shares) and (shares >= STARVED_SHARE).all():
            raised.append(
                f"{term} ({percent(baseline.balance.shares[term])} of the loss; "
                f"{n_best_words(best)}: {percent_range(shares.min(), shares.max())})"
            )
    if not raised:
        return []
    name = c.source.baseline_name
    text = f"{name} starve {joined(raised)}." if c.source.is_study else (
        f"{name} starves {joined(raised)}."
    )  # fmt: skip
    return [Advice("raised_terms", "hint", sentence(text))]


def conflicts(c: Comparison) -> list[Advice]:
    """Terms whose gradients point against each other in the best trial."""
    pairs = [pair for pair in gradient_pairs(c) if pair[0] <= _CONFLICT]
    if not pairs:
        return []
    words = [f"{a} against {b} (cosine {signed(cosine)})" for cosine, a, b in pairs[:_N_PAIRS]]
    more = count(len(pairs) - _N_PAIRS, "more pair") if len(pairs) > _N_PAIRS else ""
    text = (
        f"Gradients that pull against each other in {_best_name(c)}, as last measured (epoch "
        f"{_epoch(c)}): {'; '.join(words)}{f'; and {more}' if more else ''}. More of the one "
        "costs the other."
    )
    return [Advice("conflicts", "hint", text)]


def parallel_terms(c: Comparison) -> list[Advice]:
    """Terms whose gradients point the same way in the best trial."""
    pairs = [pair for pair in gradient_pairs(c)[::-1] if pair[0] >= PARALLEL]
    if not pairs:
        return []
    words = [f"{a} and {b} (cosine {signed(cosine)})" for cosine, a, b in pairs[:_N_PAIRS]]
    text = (
        f"Gradients that point the same way in {_best_name(c)}, as last measured (epoch "
        f"{_epoch(c)}): {'; '.join(words)}. One weight may do for both."
    )
    return [Advice("parallel_terms", "hint", text)]


def early_gradients(c: Comparison) -> list[Advice]:
    """Gradients that were measured once, as in short trainings, and are therefore not shown."""
    if not c.early_gradients:
        return []
    names = joined([c.source.sentence_name(c.trial_of[label]) for label in c.early_gradients[:3]])
    more = f" and {n} more" if (n := len(c.early_gradients) - 3) > 0 else ""
    text = (
        f"The terms' gradients of {names}{more} were measured in a single epoch, which says "
        "nothing of the trained model: they are not shown. "
        "trainer.balance_interval=1 measures them in every epoch."
    )
    return [Advice("early_gradients", "hint", text)]


def _last_shares(c: Comparison, term: str) -> pd.Series:
    """Share of a term in the last epoch, by trial; NaN where the loss lacks it."""
    values = {
        label: balance.shares[term]
        for label in c.complete.index
        if (balance := c.balance(str(label))) is not None and term in balance.shares
    }
    return pd.Series(values, dtype=float)


def _on(c: Comparison, term: str, table: pd.DataFrame) -> bool:
    balances = [c.balance(str(label)) for label in table.index]
    return all(balance is not None and balance.weights[term] > 0 for balance in balances)


def _harm(c: Comparison, label: object) -> str:
    """What went wrong in a trial: its worst error against the baseline, else its score."""
    row = c.rows[str(label)]
    worse = {
        key: row[f"valid.{key}.change"]
        for key in metric_keys(c.trials)[1:]
        if row.get(f"valid.{key}.change", 0.0) >= _HARM
    }
    if worse:
        key = max(worse, key=lambda name: worse[name])
        return f"{metric_of(key).title} got {percent(worse[key])} worse than the baseline"
    ratio = row["valid.score"] / c.ranked["valid.score"].iloc[0]
    return f"its score is {number(ratio)} times the best"


def _gradient_shares(c: Comparison) -> dict[str, float]:
    """Share of every term in the gradients of the best trial, as last measured."""
    if c.best is None or c.gradients.empty:
        return {}
    rows = c.gradients[c.gradients["trial"] == c.source.label(c.best)]
    rows = rows[rows["epoch"] == rows["epoch"].max()].dropna(subset=["norm_share"])
    return dict(zip(rows["term"], rows["norm_share"], strict=True))


def gradient_pairs(c: Comparison) -> list[tuple[float, str, str]]:
    """Cosine of every two terms in the best trial, smallest first."""
    if c.best is None or c.conflicts.empty:
        return []
    rows = c.conflicts[c.conflicts["trial"] == c.source.label(c.best)].dropna(subset=["cosine"])
    terms = list(dict.fromkeys(rows["term"]))
    return sorted(
        (float(cosine), term, other)
        for term, other, cosine in zip(rows["term"], rows["other"], rows["cosine"], strict=True)
        if terms.index(term) < terms.index(other)
    )


def _best_name(c: Comparison) -> str:
    return c.source.sentence_name(c.best) if c.best is not None else ""


def _epoch(c: Comparison) -> int:
    rows = c.conflicts[c.conflicts["trial"] == (c.source.label(c.best) if c.best else "")]
    return int(rows["epoch"].max())
