"""Advice from the errors: what the best weights gain, what they cost, how sure that is."""

from __future__ import annotations

import math

from sweep.numbers import change, joined, number, percent, sentence, signed
from sweep.report.advice.base import NOTICEABLE, Advice, subject
from sweep.report.advice.headline import contradictions
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.names import metric_of

__all__ = ["balanced_weights", "beyond_spread", "close_call", "test_set", "worse_metrics"]

_CLOSE = 0.03  # relative difference of two scores that another seed may well turn round
_AFFORDABLE = 0.10  # a score that much above the best is still a good choice


def worse_metrics(c: Comparison) -> list[Advice]:
    """What the best trial does worse than the baseline, and which trial near it does not."""
    if c.best is None or c.source.baseline is None:
        return []
    label = c.source.label(c.best)
    row, base = c.rows[label], c.rows[c.source.label(c.source.baseline)]
    score = c.value(label, "valid.score")
    limit = score * (1 + _AFFORDABLE)
    near = [str(one) for one in c.ranked.index if c.value(one, "valid.score") <= limit]
    found = []
    for key in metric_keys(c.trials)[1:]:
        column = f"valid.{key}"
        loss = c.value(label, f"{column}.change")
        if not loss > NOTICEABLE:
            continue
        metric = metric_of(key)
        on_test = c.value(label, f"test.{key}.change")
        test = "" if math.isnan(on_test) else f"; {change(on_test)} on the test set"
        verb = "get" if metric.title.endswith("s") else "gets"
        text = f"{sentence(metric.title)} {verb} worse by {percent(loss)} with the best weights "
        text += (f"({number(row[column])} instead of {number(base[column])} {metric.unit} on "
                 f"validation{test}).")  # fmt: skip
        measured = [one for one in near if not math.isnan(c.value(one, column))]
        other = min(measured, key=lambda one: c.value(one, column))
        if c.value(other, column) < row[column] * (1 - NOTICEABLE):
            behind = c.value(other, "valid.score") / score - 1
            text += (
                f" {sentence(subject(c, other))} has {number(c.value(other, column))} {metric.unit}"
                f" ({change(c.value(other, f'{column}.change'))}) at a score {percent(behind)} "
                f"above the best: take it if this error matters to you."
            )
        found.append(Advice("worse_metrics", "caution", text))
    return found


def test_set(c: Comparison) -> list[Advice]:
    """Whether the test set, which took no part in the choice, agrees with it."""
    if c.best is None or "test.score" not in c.trials:
        return []
    tested = c.ranked.dropna(subset=["test.score"])
    label = c.source.label(c.best)
    if len(tested) < 3 or label not in tested.index:
        return []
    order = tested["test.score"].sort_values().index
    place = list(order).index(label) + 1
    agreement = tested["valid.score"].rank().corr(tested["test.score"].rank())
    tail = f"(rank correlation with validation over {len(tested)} trials: {signed(agreement)})"
    if place == 1 and contradictions(c):  # the headline says where it does not
        return []
    if place == 1:
        name = c.source.sentence_name(c.best)
        text = (
            f"The test set, which had no part in the choice, agrees: {name} is best there {tail}."
        )
        return [Advice("test_set", "hint", text)]
    first = order[0]
    behind = tested.loc[label, "test.score"] / tested.loc[first, "test.score"] - 1
    text = (
        f"On the test set {subject(c, first)} is better: {subject(c, label)} is number {place} "
        f"there, {percent(behind)} behind {tail}."
    )
    return [Advice("test_set", "caution", text)]


def beyond_spread(c: Comparison) -> list[Advice]:
    """Errors of the answer that are larger than the spread of the data."""
    if c.best is None:
        return []
    found = []
    for key, error in c.best.errors("valid").items():
        scale = c.best.scales.get(key)
        if scale is not None and error > scale:
            metric = metric_of(key)
            values = f"{number(error * metric.factor)} of {number(scale * metric.factor)}"
            found.append(f"{metric.title} ({values} {metric.unit}, {number(error / scale)} times)")
    if not found:
        return []
    text = (
        f"Validation errors of {c.source.sentence_name(c.best)} larger than the standard deviation "
        f"of the training data: {', '.join(found)}. The mean of the data would predict better."
    )
    return [Advice("beyond_spread", "caution", text)]


def close_call(c: Comparison) -> list[Advice]:
    """Whether others are so near to the best that chance may have put it first."""
    if c.best is None or len(c.ranked) < 2 or c.confirmation is not None:
        return []
    scores = c.ranked["valid.score"]
    near = [label for label in c.ranked.index[1:] if scores[label] / scores.iloc[0] - 1 < _CLOSE]
    if not near:
        return []
    names = joined([c.source.sentence_name(c.trial_of[str(label)]) for label in near[:3]])
    more = f" and {len(near) - 3} more" if len(near) > 3 else ""
    far = scores[near[-1]] / scores.iloc[0] - 1
    verb = "is" if len(near) == 1 else "are"
    text = (
        f"{sentence(names)}{more} {verb} within {percent(far)} of the best score. Another seed may "
        f"turn that round: search.confirm.top=3 trains the best again with other seeds."
    )
    return [Advice("close_call", "caution", text)]


def balanced_weights(c: Comparison) -> list[Advice]:
    """How far the gradient-balanced weights get without any search."""
    study = c.source.study
    default, balanced, best = study.default, study.balanced, study.best
    if default is None or balanced is None or best is None:
        return []
    scores = [trial.score or math.nan for trial in (default, balanced, best)]
    if best.folder in (default.folder, balanced.folder) or not scores[1] < scores[0]:
        return []
    part = math.log(scores[0] / scores[1]) / math.log(scores[0] / scores[2])
    text = (
        f"The balanced weights ({c.source.sentence_name(balanced)}), which need no search, reach a "
        f"score of {number(scores[1])}: {percent(part)} of the way from default to best "
        "(on a logarithmic scale)."
    )
    return [Advice("balanced_weights", "hint", text)]
