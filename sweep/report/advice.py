"""Advice in sentences: every rule looks at the numbers and speaks only if they give reason to.

A rule is a function from a :class:`~sweep.report.comparison.Comparison` to its sentences; each
sentence holds the numbers that it is drawn from.
"""

from __future__ import annotations

from collections.abc import Callable

from sweep.report import advice_balance, advice_errors, advice_search
from sweep.report.advice_base import LEVELS, Advice
from sweep.report.comparison import Comparison

__all__ = ["RULES", "Advice", "advise"]

RULES: tuple[Callable[[Comparison], list[Advice]], ...] = (
    advice_errors.gain,
    advice_search.several_objectives,
    advice_search.confirmed,
    advice_errors.worse_metrics,
    advice_errors.test_set,
    advice_errors.close_call,
    advice_errors.balanced_weights,
    advice_search.decisive_weights,
    advice_search.range_of_the_best,
    advice_search.at_the_edge,
    advice_search.idle_weights,
    advice_balance.dominating_terms,
    advice_balance.starved_terms,
    advice_balance.raised_terms,
    advice_balance.conflicts,
    advice_balance.parallel_terms,
    advice_search.still_falling,
    advice_search.few_trials,
    advice_search.constraints,
    advice_search.unfinished_trials,
    advice_search.failed_trials,
)


def advise(comparison: Comparison) -> list[Advice]:
    """What all rules have to say: the answer first, then cautions, then hints."""
    found = [advice for rule in RULES for advice in rule(comparison)]
    return sorted(found, key=lambda advice: LEVELS.index(advice.level))
