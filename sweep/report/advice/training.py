"""Advice from how the trainings went, whichever weights they had."""

from __future__ import annotations

import pandas as pd

from sweep.errors import DamagedRecordError
from sweep.numbers import number, percent, sentence
from sweep.records import Trial
from sweep.records.tables import METRICS, read_table
from sweep.report.advice.base import Advice
from sweep.report.comparison.comparison import Comparison

__all__ = ["clipped_steps", "jumps_between_stages", "still_falling", "worse_from_the_start"]

_FEWEST = 3  # evaluations of a training, below which its first one says little
_MANY = 0.5  # of the complete trials
_FALLING = 0.03
_LAST = 0.1  # the last tenth of the epochs
_CLIPPED = 0.5


def worse_from_the_start(c: Comparison) -> list[Advice]:
    """Trainings that were best in their first epoch: what is compared is what one epoch gives."""
    complete = [trial for trial in c.source.study.complete if trial.same_as is None]
    found = [trial for trial in complete if _is_best_at_first(trial)]
    if not found or len(found) < _MANY * len(complete):
        return []
    rates = {trial.stages[0].lr for trial in found if trial.stages}
    (rate,) = rates if len(rates) == 1 else (None,)
    now = "" if rate is None else f" (now {rate:g})"
    which = "the training was best in its first evaluated epoch and worse in every later one"
    if len(complete) > 1:
        each, their = ("was", "its") if len(found) == 1 else ("were", "their")
        which = (
            f"{len(found)} of {len(complete)} complete trials {each} best in {their} first "
            "evaluated epoch and worse in every later one"
        )
    text = (
        f"{which}, which points to steps that are too long: a smaller train_schedule.0.lr{now} "
        "may let them learn, and then other weights may win."
    )
    return [Advice("worse_from_the_start", "caution", sentence(text))]


def jumps_between_stages(c: Comparison) -> list[Advice]:
    """Stages of the default or the best that began with steps too long for what was learned."""
    found = []
    trials = {trial.folder: trial for trial in (c.source.baseline, c.best) if trial is not None}
    for trial in trials.values():
        for switch in trial.details.get("switches", ()):
            if switch["is_jump"]:
                found.append(
                    f"In {c.source.sentence_name(trial)} the stage {switch['stage']} began with a "
                    f"gradient {number(switch['gradient'])} times as large as before; its first "
                    f"steps were about {number(switch['steps'])} times as long, which undoes some "
                    "of what was learned: a smaller lr of that stage, or weights of it on the "
                    "scale of those before, avoid that."
                )
    return [Advice("jumps_between_stages", "caution", text) for text in found]


def clipped_steps(c: Comparison) -> list[Advice]:
    """Clipping that acts in most steps: then the common scale of the weights does, too."""
    if c.best is None:
        return []
    share = c.best.results.get("valid", {}).get("clipped")
    if share is None or share < _CLIPPED:
        return []
    key, limit = _clipping(c.best)
    at = "" if limit is None else f" (trainer.{key}={limit:g})"
    other = "interval(1,1000)" if key == "clip_grad" else "interval(1,10)"
    text = (
        f"In {c.source.sentence_name(c.best)} {percent(share)} of the steps of its best epoch were "
        f"clipped{at}: the length of a step did not follow from the weights, and the same ratios "
        f"at another scale are another training. Search it, too: 'trainer.{key}=tag(log,{other})'; "
        "or let the weights move (weighting=gradient_shares), whose gradient is short."
    )
    return [Advice("clipped_steps", "hint", text)]


def _clipping(trial: Trial) -> tuple[str, float | None]:
    """The key that clips, and its value: the one given, of both that of the median."""
    for key in ("clip_median", "clip_grad"):
        limit = trial.details.get(key)
        if isinstance(limit, int | float):
            return key, limit
    return "clip_grad", None


def still_falling(c: Comparison) -> list[Advice]:
    """Whether the best trial was still learning when its training ended."""
    if c.best is None:
        return []
    scores = _valid_scores(c.best)
    n_last = max(1, round(_LAST * len(scores)))
    if len(scores) <= 2 * n_last:
        return []
    before, after = scores.iloc[-1 - n_last], scores.iloc[-1]
    if not (before > 0 and 1 - after / before >= _FALLING):
        return []
    text = (
        f"The score of {c.source.sentence_name(c.best)} was still falling when training ended, by "
        f"{percent(1 - after / before)} in the last {n_last} of {len(scores)} epochs: with longer "
        "training other weights may win."
    )
    return [Advice("still_falling", "caution", text)]


def _is_best_at_first(trial: Trial) -> bool:
    scores = _valid_scores(trial)
    return len(scores) >= _FEWEST and bool((scores.iloc[1:] > scores.iloc[0]).all())


def _valid_scores(trial: Trial) -> pd.Series:
    """Validation scores by epoch; none where the table cannot be read, or holds another score."""
    try:
        table = read_table(trial.folder / METRICS, ["epoch", "split", "score"])
    except DamagedRecordError:
        return pd.Series(dtype=float)
    if trial.is_judged_anew or table.empty:
        return pd.Series(dtype=float)
    valid = table[table["split"] == "valid"]
    return valid.set_index("epoch")["score"].dropna().sort_index()
