"""What trainings with other seeds say, in sentences."""

from __future__ import annotations

from sweep.numbers import change, count, joined, number
from sweep.records import State
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.names import SPLITS, metric_of
from sweep.report.spread import MAX_SEEDS, SIGNIFICANCE, Spread, seeds_needed, welch

__all__ = ["confirmation_gain", "confirmation_sentences"]

_LUCK = 0.02  # relative difference of two scores that is worth a sentence


def confirmation_sentences(found: Confirmation) -> list[str]:
    """All there is to say; the first one is that of :func:`confirmation_gain`, if it has one."""
    gain = confirmation_gain(found)
    told = [] if gain is None else [gain]
    told += [text for c in found.candidates[:2] if (text := _luck(c))]
    told += _better(found)
    told += [text for c in found.candidates if (text := _unfinished(found, c))]
    return told + [f"left out: {reason}" for reason in found.unreadable]


def confirmation_gain(found: Confirmation) -> str | None:
    """Whether the best of the search beats the default, and whether the seeds can show it."""
    if not found.others or found.default is None:
        return None
    candidate = found.others[0]
    if len(found.minimize) > 1:
        return _gain_of_several(found, candidate)
    pair = found.pair(candidate)
    if pair is None:
        return None
    own, reference = pair
    n_seeds = count(min(len(own.values), len(reference.values)), "seed")
    name, ratio = f"trial {candidate.number}", _ratio(own, reference)
    numbers = (
        f"(score {own.text()} against {reference.text()} on the {SPLITS[found.split]} set, "
        f"{change(ratio)}, {n_seeds})"
    )
    if ratio >= 0:
        return f"{name} is no better than the default weights with other seeds {numbers}"
    p = found.p_value(candidate)
    if p is None:
        return (
            f"{name} looks better than the default weights {numbers}: too few seeds are complete "
            "to tell it from noise"
        )
    if p < SIGNIFICANCE:
        return f"{name} beats the default weights {numbers}: beyond the noise, p = {_p_text(p)}"
    return (
        f"{name} looks better than the default weights {numbers}, but {n_seeds} cannot show it "
        f"(p = {_p_text(p)}): {_remedy([seeds_needed(own.values, reference.values)])}"
    )


def _gain_of_several(found: Confirmation, candidate: Candidate) -> str | None:
    """The same for several objectives, each of which is tested."""
    limit = SIGNIFICANCE / len(found.minimize)
    words, unshown, needed, n_seeds, gains = [], [], [], 0, 0
    for key in found.minimize:
        pair = found.pair(candidate, key)
        if pair is None:
            return None
        (own, reference), metric, p = pair, metric_of(key), found.p_value(candidate, key)
        ratio = _ratio(own, reference)
        text = (
            f"{metric.title} {own.text(metric.factor)} against {reference.text(metric.factor)}"
            f"{f' {metric.unit}' if metric.unit else ''} ({change(ratio)}"
        )
        if ratio < 0:
            gains += 1
            if p is not None:
                text += f", p = {_p_text(p)}"
            if p is None or p >= limit:
                unshown.append(metric.title)
                needed.append(seeds_needed(own.values, reference.values, limit))
        words.append(f"{text})")
        n_seeds = min(len(own.values), len(reference.values))
    name = "the knee of the front" if found.best_role == "knee" else "the best on the front"
    seeds = count(n_seeds, "seed")
    text = (
        f"trial {candidate.number}, {name}, over {count(n_seeds, 'other seed')} on the "
        f"{SPLITS[found.split]} set: {joined(words)}"
    )
    if not gains:
        return f"{text}; it is better than the default weights in none"
    if not unshown:
        return f"{text}: beyond the noise"
    if n_seeds < 2:
        return f"{text}: too few seeds are complete to tell it from noise"
    return f"{text}; {seeds} cannot show the gain in {joined(unshown)}: {_remedy(needed)}"


def _ratio(own: Spread, reference: Spread) -> float:
    return own.mean / reference.mean - 1 if reference.mean else 0.0


def _remedy(needed: list[int | None]) -> str:
    """How many seeds would show a gain of that size."""
    known = [n for n in needed if n is not None]
    if len(known) < len(needed):
        return f"nor would {MAX_SEEDS}, so take them as equal"
    return f"search.confirm.seeds={max(known)} would"


def _luck(candidate: Candidate) -> str | None:
    """Whether the training in the search lay far from those with other seeds."""
    spread = candidate.spread("valid", "score")
    score = None if candidate.found is None else candidate.found.score
    if spread is None or score is None or spread.deviation is None:
        return None
    gain = spread.mean - score
    if abs(gain) < max(_LUCK * spread.mean, 2 * spread.deviation):
        return None
    if gain < 0 and candidate.number:  # an unlucky default makes the gain too large
        return None
    name = f"trial {candidate.number}" if candidate.number else "the default"
    return (
        f"{name} was {'lucky' if gain > 0 else 'unlucky'} in the search: validation score "
        f"{number(score)} there, {spread.text()} with other seeds"
    )


def _better(found: Confirmation) -> list[str]:
    """Whether another one is better on average than the best of the search."""
    if len(found.minimize) > 1:
        return []
    scores = {c.number: s for c in found.others if (s := found.score(c)) is not None}
    if not found.others or found.others[0].number not in scores or len(scores) < 2:
        return []
    first = found.others[0].number
    best = min(scores, key=lambda n: scores[n].mean)
    if best == first:
        return []
    p = welch(scores[best].values, scores[first].values)
    noise = "" if p is None or p < SIGNIFICANCE else ", within the noise"
    return [
        f"trial {best} is better on average than trial {first}, the best of the search: "
        f"{scores[best].text()} against {scores[first].text()}{noise}"
    ]


def _unfinished(found: Confirmation, candidate: Candidate) -> str | None:
    """How many trainings of a candidate are missing, and why; None if none is."""
    wanted = len({t.details.get("seed") for other in found.candidates for t in other.repeats})
    states = [trial.state for trial in candidate.repeats if not trial.is_complete]
    counts = [f"{states.count(s)} {s.lower()}" for s in dict.fromkeys(states)]
    if wanted > len(candidate.repeats):
        counts.append(f"{wanted - len(candidate.repeats)} not begun")
    if not counts:
        return None
    reasons = [trial.reason for trial in candidate.repeats if trial.state is State.FAILED]
    return (
        f"trial {candidate.number}: {len(candidate.complete)} of {wanted} trainings are "
        f"complete ({', '.join(counts)})" + (f": {reasons[-1]}" if any(reasons) else "")
    )


def _p_text(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1"
