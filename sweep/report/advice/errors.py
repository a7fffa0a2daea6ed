"""Advice from the errors: what the best weights gain, what they cost, how sure that is."""

from __future__ import annotations

import math

from sweep.numbers import change, joined, number, percent, sentence, signed
from sweep.report.advice.base import NOTICEABLE, Advice, subject
from sweep.report.advice.headline import contradictions
from sweep.report.comparison.comparison import Comparison
from sweep.report.names import SPLITS, Metric, metric_of

__all__ = ["beyond_spread", "close_call", "test_set", "uneven_errors", "worse_metrics"]

_CLOSE = 0.03  # relative difference of two scores that another seed may well turn round
_MOST = 0.6  # of the squared error
_MORE = 1.5  # times the part of the atoms or configurations
_AFFORDABLE = 0.10  # a score that much above the best is still a good choice


def worse_metrics(c: Comparison) -> list[Advice]:
    """What the best trial does worse than the baseline, and which trial near it does not."""
    if c.best is None or c.source.baseline is None:
        return []
    tests = {row.metric.key: row.change(c.best_role) for row in c.answer if row.split == "test"}
    found = []
    for row in c.answer:
        metric, loss = row.metric, row.change(c.best_role)
        if row.split != "valid" or metric.key == "score" or loss is None or loss <= NOTICEABLE:
            continue
        own, base = row.measures[c.best_role], row.measures[c.baseline_role]
        assert own is not None
        assert base is not None  # there is a change
        on_test = tests.get(metric.key)
        test = "" if on_test is None else f"; {change(on_test)} on the test set"
        verb = "get" if metric.title.endswith("s") else "gets"
        what = "best weights" if c.best_role == "best" else "weights at the knee"
        text = (
            f"{sentence(metric.title)} {verb} worse by {percent(loss)} with the {what} "
            f"({own.number} instead of {base.number} {metric.unit} on validation{test})."
        )
        found.append(Advice("worse_metrics", "caution", text + _alternative(c, metric)))
    return found


def _alternative(c: Comparison, metric: Metric) -> str:
    """A trial near the best that has a smaller error; on a front, the front itself tells."""
    if c.front is not None or c.best is None:
        return ""
    label, column = c.source.label(c.best), f"valid.{metric.key}"
    score = c.value(label, "valid.score")
    limit = score * (1 + _AFFORDABLE)
    near = [str(one) for one in c.ranked.index if c.value(one, "valid.score") <= limit
            and not math.isnan(c.value(one, column))]  # fmt: skip
    other = min(near, key=lambda one: c.value(one, column), default=label)
    if not c.value(other, column) < c.value(label, column) * (1 - NOTICEABLE):
        return ""
    behind = c.value(other, "valid.score") / score - 1
    return (
        f" {sentence(subject(c, other))} has {number(c.value(other, column))} {metric.unit}"
        f" ({change(c.value(other, f'{column}.change'))}) at a score {percent(behind)} "
        f"above the best: take it if this error matters to you."
    )


def test_set(c: Comparison) -> list[Advice]:
    """Whether the test set, which took no part in the choice, agrees with it."""
    if c.front is not None:
        return _test_front(c)
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


def _test_front(c: Comparison) -> list[Advice]:
    """Whether the answer of several objectives is beaten in all of them on the test set."""
    if c.best is None or c.front is None:
        return []
    label = c.source.label(c.best)
    columns = [f"test.{key}" for key in c.front.minimize]
    if not set(columns) <= set(c.trials.columns):
        return []
    tested = c.ranked[columns].dropna()
    if label not in tested.index or len(tested) < 3:
        return []
    better = (tested < tested.loc[label]).all(axis=1)
    name, titles = subject(c, label), joined([metric_of(key).title for key in c.front.minimize])
    if not better.any():
        text = f"On the test set, too, no trial beats {name} in all of {titles}."
        return [Advice("test_set", "hint", text)]
    others = [subject(c, one) for one in better.index[better][:3]]
    verb = "beats" if len(others) == 1 else "beat"
    text = f"On the test set {joined(others)} {verb} {name} in all of {titles}."
    return [Advice("test_set", "caution", text)]


def beyond_spread(c: Comparison) -> list[Advice]:
    """Errors of the answer that are larger than the spread of the data."""
    if c.best is None:
        return []
    found = []
    for key, error in c.best.errors("valid").items():
        scale = c.best.scales.get(key)
        if scale is not None and error > scale:
            metric = metric_of(key, [c.best])
            values = f"{number(error * metric.factor)} of {number(scale * metric.factor)}"
            found.append(f"{metric.title} ({values} {metric.unit}, {number(error / scale)} times)")
    if not found:
        return []
    text = (
        f"Validation errors of {c.source.sentence_name(c.best)} larger than the standard deviation "
        f"of the training data: {', '.join(found)}. The mean of the data would predict better."
    )
    return [Advice("beyond_spread", "caution", text)]


def uneven_errors(c: Comparison) -> list[Advice]:
    """Elements and sizes of systems that hold most of an error, far more than their part."""
    if c.best is None:
        return []
    split = "test" if c.best.errors_by("element") or c.best.errors_by("size") else "valid"
    found = []
    for kind, of in (("element", "atoms"), ("size", "configurations")):
        shares = c.best.errors_by(kind, split, statistic="share")
        total = sum(n for n, _ in shares.values())
        for name, (n, held) in shares.items():
            for key, share in held.items():
                if key in c.asked and share >= _MOST and share >= _MORE * n / total:
                    title = f"{name} atoms" if kind == "size" else name
                    found.append(
                        f"{title} ({percent(n / total)} of the {of}) {percent(share)} of that of "
                        f"the {metric_of(key).title}"
                    )
    if not found:
        return []
    text = (
        f"Where the squared error of {c.source.sentence_name(c.best)} lies on the "
        f"{SPLITS[split]} set: {'; '.join(found)}. More data of these will help more than weights."
    )
    return [Advice("uneven_errors", "hint", text)]


def close_call(c: Comparison) -> list[Advice]:
    """Whether others are so near to the best that chance may have put it first."""
    if c.best is None or len(c.ranked) < 2 or c.confirmation is not None or c.front is not None:
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
