"""Advice in sentences: every rule looks at the numbers and speaks only if they give reason to.

A rule is a function from a :class:`~sweep.report.comparison.comparison.Comparison` to
its sentences; each sentence holds the numbers that it is drawn from.
"""

from __future__ import annotations

from collections.abc import Callable

from sweep.report.advice import dial, errors, headline, search, terms, training
from sweep.report.advice.base import LEVELS, Advice
from sweep.report.comparison.comparison import Comparison

__all__ = ["RULES", "Advice", "advise"]

RULES: tuple[Callable[[Comparison], list[Advice]], ...] = (
    headline.one_training,
    headline.gain,
    headline.recipes,
    headline.judged_anew,
    headline.several_objectives,
    headline.confirmed,
    errors.worse_metrics,
    errors.beyond_spread,
    errors.test_set,
    errors.close_call,
    errors.uneven_errors,
    search.unchecked_length,
    dial.what_a_share_buys,
    search.decisive_weights,
    search.range_of_the_best,
    search.at_the_edge,
    search.beyond_the_ranges,
    search.idle_weights,
    terms.dominating_terms,
    terms.starved_terms,
    terms.raised_terms,
    terms.conflicts,
    terms.parallel_terms,
    terms.early_gradients,
    dial.terms_that_can_go,
    training.worse_from_the_start,
    training.jumps_between_stages,
    training.clipped_steps,
    training.still_falling,
    search.few_trials,
    search.constraints,
    search.unfinished_trials,
    search.failed_trials,
)


def advise(comparison: Comparison) -> list[Advice]:
    """What all rules have to say: the answer first, then cautions, then hints."""
    found = [advice for rule in RULES for advice in rule(comparison)]
    return sorted(found, key=lambda advice: LEVELS.index(advice.level))
