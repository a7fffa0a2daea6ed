"""The answer in sentences: which weights, what they gain, and whether the data sets agree on it."""

from __future__ import annotations

import math

from sweep.numbers import change, count, joined, number, percent, sentence
from sweep.records import Trial
from sweep.report.advice.base import NOTICEABLE, Advice, subject
from sweep.report.comparison.comparison import Comparison
from sweep.report.confirmation_text import (
    confirmation_gain,
    confirmation_sentences,
    seed_caveat,
)
from sweep.report.constraints import blocked_sentence, limits
from sweep.report.names import SPLITS, metric_of, titles_of

__all__ = ["confirmed", "contradictions", "gain", "judged_anew", "one_training",
           "several_objectives"]  # fmt: skip

_N_FRONT = 8


def one_training(c: Comparison) -> list[Advice]:
    """What a single training reaches whose weights follow its gradients, without any search."""
    study = c.source.study
    default, balanced, best = study.default, study.balanced, study.best
    if default is None or balanced is None or best is None or c.front is not None:
        return []
    scores = [trial.score or math.nan for trial in (default, balanced, best)]
    if best.folder in (default.folder, balanced.folder) or not scores[1] < scores[0]:
        return []
    texts = [number(score) for score in scores]
    name = c.source.sentence_name(balanced)
    how = f"with its weights balanced while it trained ({name})"
    if balanced.weighting == "fixed":  # of a version that balanced them before
        how = f"with balanced weights ({name})"
    seeds, where = "", ""
    if (found := c.confirmation) is not None:  # whose means are what the other sentences compare
        again = [found.candidate(trial.number) for trial in (default, balanced, best)]
        means = [None if one is None else found.score(one) for one in again]
        known = [spread for spread in means if spread is not None]
        if len(known) == len(means):
            scores, texts = [s.mean for s in known], [s.text() for s in known]
            longer = "" if found.length == 1 else f" and {found.length} times the length"
            seeds, where = f" with other seeds{longer}", f" on the {SPLITS[found.split]} set"
    text = (
        f"One training {how}: score {texts[1]}{seeds} instead of {texts[0]} with "
        f"{c.source.baseline_name} ({change(scores[1] / scores[0] - 1)}{where})"
    )
    if scores[2] < scores[0] and scores[1] < scores[0]:
        part = math.log(scores[0] / scores[1]) / math.log(scores[0] / scores[2])
        text += f", {percent(part)} of the way to the best on a logarithmic scale"
    if "allowed" in (broken := c.source.unranked.get(c.source.label(balanced), "")):
        text += f"; it breaks a constraint: {broken}"
    return [_answer("one_training", f"{text}.")]


def gain(c: Comparison) -> list[Advice]:
    """The headline: contradictions between the data sets, then how much better the answer is."""
    blocked = blocked_sentence(c.source.study) if c.source.is_study else None
    if blocked is not None:
        return [_answer("gain", " ".join([f"{sentence(blocked)}.", *_caveat_of_best(c)]))]
    if c.best is None:
        return []
    baseline = c.source.baseline
    score = number(c.value(c.source.label(c.best), "valid.score"))
    if baseline is None:
        text = f"{_what(c, c.best)}, {score}" if c.front is None else _what(c, c.best)
        return [_answer("gain", f"{text}; the baseline to compare it with is not complete.")]
    if baseline.folder == c.best.folder:
        told = [sentence(_nothing_better(c, score)), *_caveat_of_best(c)]
        return [_answer("gain", " ".join(told))]
    told = [sentence(text) for text in _contradiction_words(c)]
    confirmed = _confirmed_gain(c)
    if confirmed is not None:
        told.append(sentence(f"{confirmed}."))
    elif c.front is not None:
        told.append(sentence(f"{_what(c, c.best)}."))
    else:
        told.append(sentence(
            f"{subject(c, c.source.label(c.best))} has the lowest score{_among(c, baseline)}: "
            f"{score} instead of {number(c.value(c.source.label(baseline), 'valid.score'))} with "
            f"{c.source.baseline_name} ({_score_changes(c)})."
        ))  # fmt: skip
    return [_answer("gain", " ".join([*told, *_changes(c)]))]


def _among(c: Comparison, baseline: Trial) -> str:
    """Among which trials the answer is the best, where the baseline is none of them."""
    objective = c.source.study.objective
    if objective is None or baseline.folder in [trial.folder for trial in c.source.study.feasible]:
        return ""
    within = limits(objective.constraints, objective.constraints)
    return f" of the trials within {within}, which {c.source.baseline_name} are not"


def _what(c: Comparison, best: Trial) -> str:
    """What makes a trial the answer."""
    name = c.source.sentence_name(best)
    if c.front is None:
        return f"{name} has the lowest score"
    titles = joined([metric_of(key).title for key in c.front.minimize])
    others = count(len(c.front.trials), "trial")
    if c.front.knee is not None:
        return (
            f"{name} is the knee of the front of {titles}, of {others} that no other beats in all"
        )
    return (
        f"{name} has the lowest score on the front of {titles}, of {others} that no other beats in "
        "all"
    )


def _nothing_better(c: Comparison, score: str) -> str:
    others = len(c.complete) - 1
    default = f"{c.source.baseline_name} (score {score})"
    if not others:
        return f"only one trial is complete: {default}."
    if c.front is not None and c.best is not None:
        return f"{_what(c, c.best)}: {default}."
    if others == 1:
        return f"the other complete trial does not beat {default}."
    return f"none of the {others} other complete trials beats {default}."


def _confirmed_gain(c: Comparison) -> str | None:
    """The gain over several seeds, if the answer was trained again."""
    found = c.confirmation
    return confirmation_gain(found) if found is not None and found.is_of_best else None


def _caveat_of_best(c: Comparison) -> list[str]:
    """What other seeds say against the answer, where that is the default and gains nothing."""
    if c.confirmation is None or c.best is None:
        return []
    text = seed_caveat(c.confirmation, c.best.number)
    return [] if text is None else [f"{sentence(text)}."]


def _score_changes(c: Comparison) -> str:
    found = {row.split: row.change(c.best_role) for row in c.answer if row.metric.key == "score"}
    words = [
        f"{change(value)} on {'validation' if split == 'valid' else 'the test set'}"
        for split, value in found.items()
        if value is not None
    ]
    return ", ".join(words)


def _by_metric(c: Comparison) -> dict[str, dict[str, float]]:
    """Changes of the answer's errors against the baseline, by metric and data set."""
    found: dict[str, dict[str, float]] = {}
    for row in c.answer:
        value = row.change(c.best_role)
        if value is not None:
            found.setdefault(row.metric.key, {})[row.split] = value
    return found


def contradictions(c: Comparison) -> dict[str, tuple[float, float]]:
    """What validation praises and the test set denies: changes on both, by metric."""
    return {
        key: (of["valid"], of["test"])
        for key, of in _by_metric(c).items()
        if key in {"score", *c.asked}
        and of.get("valid", 0.0) < -NOTICEABLE
        and of.get("test", 0.0) > NOTICEABLE
    }


def _contradiction_words(c: Comparison) -> list[str]:
    words = [
        f"{metric_of(key).title} {change(valid)} on validation but {change(test)} on the test set"
        for key, (valid, test) in contradictions(c).items()
    ]
    if not words:
        return []
    return [f"validation and test set contradict each other: {'; '.join(words)}."]


def _changes(c: Comparison) -> list[str]:
    """What gets better and what worse, what was asked for first."""
    is_confirmed = _confirmed_gain(c) is not None
    split = c.confirmation.split if is_confirmed and c.confirmation else "valid"
    told = {"score"}
    if c.front is not None and is_confirmed:
        told |= set(c.front.minimize)
    better: list[tuple[float, str]] = []
    worse: list[tuple[float, str]] = []
    others: list[tuple[float, str]] = []
    for key, of in _by_metric(c).items():
        value = of.get(split)
        if key in told or value is None or abs(value) <= NOTICEABLE:
            continue
        text = f"{metric_of(key).title} {change(value)}"
        if key in c.asked:
            (better if value < 0 else worse).append((value, text))
            continue
        test = of.get("test", 0.0)
        if value < 0 and test > NOTICEABLE:
            text += f" ({change(test)} on the test set)"
        others.append((value, text))
    where = "" if split == "valid" else f" on the {SPLITS[split]} set"
    words = []
    if better:
        words.append(f"Better{where}: {', '.join(text for _, text in sorted(better))}.")
    if worse:
        words.append(f"Worse{where}: {', '.join(text for _, text in sorted(worse)[::-1])}.")
    if others:
        words.append(f"Not in the objective: {', '.join(text for _, text in sorted(others))}.")
    return words


def recipes(c: Comparison) -> list[Advice]:
    """How published weightings rank on these data, best first."""
    default, best = c.source.study.default, c.source.study.best
    known = [(t.score, name) for name, t in c.source.study.recipes.items() if t.score is not None]
    if default is None or default.score is None or not known:
        return []
    words = []
    for score, name in sorted(known):
        ratio = score / default.score - 1
        trial = c.source.sentence_name(c.source.study.recipes[name])
        against = f"{percent(abs(ratio))} {'better' if ratio < 0 else 'worse'} than"
        if abs(ratio) <= NOTICEABLE:
            against = "as good as"
        words.append(f"{name}'s ratios ({trial}), {against} your default")
    text = f"On your data: {'; '.join(words)}."
    first = c.source.study.recipes[min(known)[1]]
    if best is not None and best.score is not None and first.score is not None:
        if best.folder == first.folder:
            text += " Nothing else in this study is better than the first."
        else:
            below = percent(1 - best.score / first.score)
            text += f" The best trial of the study is {below} below the best of these."
    return [Advice("recipes", "answer", text)]


def judged_anew(c: Comparison) -> list[Advice]:
    """What the trials are judged by, where it is not what the search was for."""
    judgement, objective = c.source.study.judgement, c.source.study.objective
    if judgement is None or objective is None:
        return []
    words = []
    if judgement.metrics is not None:
        words.append(f"by {joined(titles_of(judgement.metrics))}")
    if judgement.limits:
        words.append(f"with {limits(judgement.limits, judgement.limits)}")
    elif judgement.limits is not None:
        words.append("without limits")
    text = (
        f"Judged anew {' and '.join(words)}: nothing was trained for it, and every trial is taken "
        "at the epoch that was best by the study's own objective."
    )
    return [Advice("judged_anew", "caution", text)]


def several_objectives(c: Comparison) -> list[Advice]:
    """The front of a study that minimises several metrics."""
    if c.front is None:
        return []
    numbers = [str(trial.number) for trial, _ in c.front.trials]
    shown = ", ".join(numbers[:_N_FRONT]) + (", ..." if len(numbers) > _N_FRONT else "")
    names = joined([metric_of(key).title for key in c.front.minimize])
    text = (
        f"The search minimises {names}. {sentence(count(len(numbers), 'trial'))} that no other "
        f"beats in all of them: {shown}."
    )
    if c.front.knee is None:
        text += " This front has no knee: which of them is best depends on what matters to you."
    return [Advice("several_objectives", "hint" if c.front.knee else "caution", text)]


def confirmed(c: Comparison) -> list[Advice]:
    """What trainings with other seeds say beside the headline."""
    if c.confirmation is None:
        return []
    told = confirmation_sentences(c.confirmation)
    if _confirmed_gain(c) is not None:
        told = told[1:]
    return [
        Advice("confirmed", "caution", text if text.endswith(".") else f"{text}.")
        for text in map(sentence, told)
    ]


def _answer(rule: str, text: str) -> Advice:
    return Advice(rule, "answer", sentence(text))
