"""What trainings with other seeds say, in sentences."""

from __future__ import annotations

from sweep.numbers import change, count, joined, number
from sweep.records import State
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.names import SPLITS, metric_of
from sweep.report.spread import MAX_SEEDS, SIGNIFICANCE, Spread, seeds_needed

__all__ = ["confirmation_gain", "confirmation_sentences", "seed_caveat"]

_LUCK = 0.02  # relative difference of two scores that is worth a sentence


def confirmation_sentences(found: Confirmation) -> list[str]:
    """All there is to say; the first one is that of :func:`confirmation_gain`, if it has one."""
    gain = confirmation_gain(found)
    told = [] if gain is None else [gain]
    told += [text for c in found.candidates[:2] if (text := _luck(c))]
    told += _holding(found)
    told += [text for c in found.candidates if (text := _unfinished(found, c))]
    return told + [f"left out: {reason}" for reason in found.unreadable]


def confirmation_gain(found: Confirmation) -> str | None:
    """Whether the best of the search beats the default, and whether the seeds can show it."""
    if not found.others or found.default is None:
        return None
    candidate = found.of_best or found.others[0]
    if len(found.minimize) > 1:
        return _gain_of_several(found, candidate)
    pair = found.pair(candidate)
    if pair is None:
        return None
    own, reference = pair
    n_seeds = count(min(len(own.values), len(reference.values)), "seed")
    if found.length > 1:
        n_seeds += f", {found.length} times the length"
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


def seed_caveat(found: Confirmation, number: int) -> str | None:
    """What trainings with other seeds say against the weights of a trial; None for nothing.

    That another trial, or the default, has the lower mean, or that the trial cannot be told from
    the default. It stands wherever these weights are offered.
    """
    own = found.candidate(number)
    score = None if own is None else found.score(own)
    if own is None or score is None:
        return None
    longer = "" if found.length == 1 else f" and {found.length} times the length"
    told = []
    holds = found.holds
    ahead = None if holds is None or holds is own else found.score(holds)
    if holds is not None and ahead is not None:
        p = found.choice_p_value(holds, own)
        noise = "" if p is None or p < SIGNIFICANCE else ", within the noise"
        told.append(
            f"trial {holds.number}{_role(holds)} has the better score, {ahead.text()} against "
            f"{score.text()} on the {SPLITS[found.split]} set{noise}"
        )
    unsure = own is not found.default and not found.beats_default(own)
    if unsure and found.pair(own) is not None and holds is not found.default:
        told.append("these weights cannot be told from the default weights")
    return f"with other seeds{longer} {' and '.join(told)}" if told else None


def _gain_of_several(found: Confirmation, candidate: Candidate) -> str | None:
    """The same for several objectives, each of which is tested."""
    limit = SIGNIFICANCE / len(found.minimize)
    words, unshown, needed, n_seeds, gains = [], [], [], 0, 0
    for key in found.minimize:
        pair = found.pair(candidate, key)
        if pair is None:
            return None
        (own, reference), p = pair, found.p_value(candidate, key)
        metric = metric_of(key, candidate.repeats)
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


def _holding(found: Confirmation) -> list[str]:
    """Whether the best of the search is the best here, too; and whether that is beyond chance."""
    holds = found.holds
    best = found.candidate(found.best) if found.best is not None else None
    if holds is None or best is None or found.score(best) is None:
        return []
    where = "" if found.length == 1 else f" at {found.length} times the length"
    own, searched = found.score(holds), found.score(best)
    assert own is not None
    assert searched is not None
    if holds is best:
        if found.length == 1 or not any(c is not best for c in found.others):
            return []
        return [f"trial {best.number}, the best of the search, is the best{where}, too"]
    p = found.choice_p_value(holds, best)
    noise = "" if p is None or p < SIGNIFICANCE else ", within the noise"
    chance = "" if p is None else f" (p = {_p_text(p)} seed by seed, corrected for the choice)"
    text = (
        f"trial {holds.number}{_role(holds)} is better{where} than trial {best.number}, the best "
        f"of the search: {own.text()} against {searched.text()}{noise}{chance}"
    )
    if found.length > 1:
        text += f"; take trial {holds.number} for trainings of that length"
    return [text]


def _role(candidate: Candidate) -> str:
    role = None if candidate.found is None else candidate.found.role
    if candidate.found is not None and "weights_from" in candidate.found.details:
        return f" (static weights from {candidate.found.details['weights_from']})"
    return {
        "default": " (the default weights)",
        "balanced": " (weights that move while it trains)",
        "static": " (the static weights that the moving ones ended with)",
    }.get(role or "", "")


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
