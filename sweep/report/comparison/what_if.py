"""How the balance of recorded runs would look under other weights, without training.

Raw values are recorded, so that the sum can be formed anew. It is an estimate: training under those
weights would have led to other raw values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sweep.errors import InputError, unknown
from sweep.records.balance import Balance, balance_of
from sweep.report.comparison.sources import Source

__all__ = ["CAVEAT", "WhatIf", "parse_numbers", "what_if"]

CAVEAT = (
    "What if: recorded raw values under other weights. Nothing was trained with them; training "
    "would have led to other raw values."
)


@dataclass(frozen=True)
class WhatIf:
    """One trial's balance as recorded and under other weights.

    Attributes:
        trial: Label of the trial.
        recorded: Its balance in its last epoch.
        changed: The same raw values under the other weights.
        unknown_terms: Terms with a new weight that the run did not evaluate, because its weight
            was 0 there: their share cannot be told and counts as 0.
    """

    trial: str
    recorded: Balance
    changed: Balance
    unknown_terms: tuple[str, ...]


def parse_numbers(option: str, text: str) -> dict[str, float]:
    """``esps=3,forces=50`` as a mapping.

    Args:
        option: Name of the option in errors.
        text: What stands there.

    Raises:
        InputError: naming the part that is not ``name=number`` or whose number is not valid.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, separator, value = (word.strip() for word in part.partition("="))
        if not separator or not name:
            raise InputError(f"{option}: '{part.strip()}' is not name=number")
        if name in found:
            raise InputError(f"{option}: '{name}' stands there twice")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise InputError(f"{option}: {name} is '{value}', expected 0 or larger")
        found[name] = number
    return found


def what_if(source: Source, labels: Sequence[str], weights: Mapping[str, float]) -> list[WhatIf]:
    """The balance of chosen trials under other weights; a term that is not named keeps its own.

    Raises:
        InputError: if no trial has a term of that name.
    """
    trials = {source.label(trial): trial for trial in source.study}
    balances = [b for trial in trials.values() for b in trial.balances.values() if b is not None]
    known = {name for balance in balances for name in balance.weights}
    for name in weights:
        if known and name not in known:
            raise InputError(unknown("loss term", name, known, where=f"--weights ({source.name})"))
    found = []
    for label in labels:
        recorded = trials[label].balance
        if recorded is None:
            continue
        merged = {name: weights.get(name, w) for name, w in recorded.weights.items()}
        changed = balance_of(merged, recorded.raw, stage=recorded.stage, epoch=recorded.epoch)
        if changed is not None:
            lost = tuple(n for n, w in merged.items() if w > 0 and recorded.weights[n] == 0)
            found.append(WhatIf(label, recorded, changed, lost))
    return found


def what_if_table(results: Sequence[WhatIf]) -> pd.DataFrame:
    """One row per trial and term: weights and shares as recorded and under the other weights."""
    rows = [
        {
            "trial": one.trial,
            "term": term,
            "raw": one.recorded.raw[term],
            "weight_recorded": one.recorded.weights[term],
            "weight": one.changed.weights[term],
            "share_recorded": one.recorded.shares[term],
            "share": share if term not in one.unknown_terms else math.nan,
        }
        for one in results
        for term, share in one.changed.shares.items()
    ]
    return pd.DataFrame(
        rows,
        columns=["trial", "term", "raw", "weight_recorded", "weight", "share_recorded", "share"],
    )
