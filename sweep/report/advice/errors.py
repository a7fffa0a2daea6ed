"""Advice from the errors: what the best weights gain, what they cost, how sure that is."""

from __future__ import annotations

import math

from sweep.numbers import change, number, percent, sentence, signed
from sweep.report.advice.base import Advice, joined, subject
from sweep.report.comparison.comparison import Comparison
from sweep.report.comparison.trial_table import metric_keys
from sweep.report.names import metric_of

__all__ = ["balanced_weights", "close_call", "gain", "test_set", "worse_metrics"]

_NOTICEABLE = 0.02  # relative change of an error below which it counts as equal
_CLOSE = 0.03  # relative difference of two scores that another seed may well turn round
_AFFORDABLE = 0.10  # a score that much above the best is still a good choice


def gain(c: Comparison) -> list[Advice]:
    """How much better the best trial is than the baseline."""
    if c.best is None:
        return []
    label = c.source.label(c.best)
    row = c.rows[label]
    name = c.source.sentence_name(c.best)
    if c.source.baseline is None:
        text = f"{name} has the lowest score, {number(row['valid.score'])}"
        return [_answer("gain", f"{text}; the baseline to compare it with is not complete.")]
    if c.source.baseline.folder == c.best.folder:
        others = len(c.complete) - 1
        score = f"{c.source.baseline_name} (score {number(row['valid.score'])})"
        if not others:
            return [_answer("gain", f"only one trial is complete: {score}.")]
        beaten = f"none of the {others} other complete trials beats" if others > 1 else (
            "the other complete trial does not beat"
        )  # fmt: skip
        return [_answer("gain", f"{beaten} {score}.")]
    base = c.rows[c.source.label(c.source.baseline)]
    tested = c.value(label, "test.score.change")
    on_test = "" if math.isnan(tested) else f", {change(tested)} on the test set"
    better: list[tuple[float, str]] = []
    worse: list[tuple[float, str]] = []
    for key in metric_keys(c.trials)[1:]:
        value = c.value(label, f"valid.{key}.change")
        if abs(value) > _NOTICEABLE:
            words = f"{metric_of(key).title} {change(value)}"
            (better if value < 0 else worse).append((value, words))
    sentences = [
        f"{name} has the lowest score: {number(row['valid.score'])} instead of "
        f"{number(base['valid.score'])} with {c.source.baseline_name} "
        f"({change(row['valid.score.change'])} on validation{on_test})."
    ]
    if better:
        sentences.append(f"Better: {', '.join(words for _, words in sorted(better))}.")
    if worse:
        sentences.append(f"Worse: {', '.join(words for _, words in sorted(worse)[::-1])}.")
    return [_answer("gain", " ".join(sentences))]


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
        if not loss > _NOTICEABLE:
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
        if c.value(other, column) < row[column] * (1 - _NOTICEABLE):
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


def _answer(rule: str, text: str) -> Advice:
    return Advice(rule, "answer", sentence(text))
