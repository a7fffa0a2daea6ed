"""What a tracker shows of a trial, read from its records: flat names and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.records import Trial
from sweep.records.breakdown import EpochTerms, epochs_from
from sweep.records.tables import BREAKDOWN

__all__ = ["config_of", "epoch_values", "final_values"]

_INDEX = ("step", "epoch", "stage", "split")


def config_of(trial: Trial) -> dict[str, Any]:
    """The searched parameters, and what else tells a trial from the others."""
    return {
        **trial.params,
        "number": trial.number,
        "role": trial.role or "searched",
        "seed": trial.details.get("seed"),
        "weighting": trial.weighting,
    }


def epoch_values(trial: Trial, first: int) -> Iterator[tuple[int, dict[str, float]]]:
    """The recorded epochs from ``first`` on, each with what is known of it.

    Yields:
        The epoch, and ``valid/<metric>``, ``share/<term>``, ``weight/<term>`` and ``lr``. Weights
        and learning rate are those at the end of the epoch.

    Raises:
        DamagedRecordError: if a table cannot be read.
    """
    table = trial.metrics()
    if not len(table):
        return
    path = trial.folder / BREAKDOWN
    terms = epochs_from(path, first) if path.exists() else {}
    rows = table[(table["split"] == "valid") & (table["epoch"] >= first)]
    for row in rows.to_dict("records"):
        epoch = int(row["epoch"])
        known = terms.get(epoch, EpochTerms({}, {}, None))
        weights = known.weights or _configured(trial, int(row["stage"]))
        yield (
            epoch,
            _finite(
                {
                    **{f"valid/{key}": value for key, value in row.items() if key not in _INDEX},
                    **{f"share/{name}": value for name, value in known.shares.items()},
                    **{f"weight/{name}": value for name, value in weights.items()},
                    "lr": known.lr,
                }
            ),
        )


def final_values(trial: Trial) -> dict[str, float]:
    """What is known when a training ended: ``score`` and ``test/<metric>``."""
    tests = {f"test/{key}": value for key, value in trial.results.get("test", {}).items()}
    return _finite({"score": trial.score, **tests})


def _configured(trial: Trial, stage: int) -> dict[str, float]:
    """The weights of a stage, of a program that tells no values of its terms."""
    loss = trial.stages[stage].loss if stage < len(trial.stages) else {}
    return {name: term["weight"] for name, term in loss.items()}


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
