"""``summary.json``, ``best_loss.yaml``, ``confirmation.json``: the answer of a study as files."""

from __future__ import annotations

from typing import Any

import yaml

from sweep.files import write_json, write_text
from sweep.numbers import sentence
from sweep.records import Study, Trial
from sweep.records.weights_file import comments, loss_block
from sweep.report.confirmation import Candidate, Confirmation
from sweep.report.confirmation_text import confirmation_sentences, seed_caveat
from sweep.report.names import SPLITS
from sweep.report.recommendation import recommend

__all__ = ["write_confirmation", "write_summary"]


def write_summary(study: Study, confirmation: Confirmation | None = None) -> None:
    """Write ``summary.json`` and, once there is a best trial, ``best_loss.yaml``.

    Args:
        study: The study.
        confirmation: Its trainings with other seeds; where longer ones say that another trial
            holds, its weights are written.
    """
    kept = {trial.number for trial in study.feasible}
    write_json(
        study.folder / "summary.json",
        {
            "study": study.name,
            "states": study.states,
            "references": {role: _entry(trial) for role, trial in study.references.items()},
            **_front_entry(study),
            "trials": [
                {
                    "number": trial.number, "role": trial.role, "state": trial.state,
                    "score": trial.score, "epoch": trial.epoch,
                    "seconds": trial.details.get("seconds"), "params": trial.params,
                    "reason": trial.reason, "same_as": trial.same_as,
                    "feasible": trial.number in kept if trial.is_complete else None,
                }
                for trial in study
            ],
        },
    )  # fmt: skip
    answer, path = recommend(study, confirmation), study.folder / "best_loss.yaml"
    best = None if answer is None else answer.trial
    if answer is None or best is None or not best.stages:
        path.unlink(missing_ok=True)  # of when trial 0, whose errors constrain, was not complete
    else:
        head = comments([
            f"{sentence(answer.name)} of study {study.name}: trial {best.number}, "
            f"score {best.score:.6g}, seed {best.details.get('seed')}",
            *([] if answer.caveat is None else [answer.caveat]),
            *([] if best.weighting == "fixed" else [
                f"Geometric means of weights that moved while it trained ({best.weighting})."
            ]),
        ])  # fmt: skip
        write_text(path, head + loss_block(best.stages))


def _entry(trial: Trial) -> dict[str, Any]:
    balance = trial.balance
    return {
        "trial": trial.number,
        "score": trial.score,
        "epoch": trial.epoch,
        "metrics": trial.results,
        "loss": yaml.safe_load(loss_block(trial.stages)) if trial.stages else None,
        "balance": None
        if balance is None
        else {
            "shares": balance.shares,
            "effective_terms": balance.effective_terms,
            "dominant": balance.dominant,
            "starved": balance.starved,
        },
    }


def _front_entry(study: Study) -> dict[str, Any]:
    """The Pareto front of a study of several objectives."""
    front = study.front
    if front is None:
        return {}
    trials = [{"trial": trial.number, "values": values} for trial, values in front.trials]
    knee = None if front.knee is None else front.knee.number
    return {"front": {"minimize": front.minimize, "trials": trials, "knee": knee}}


def write_confirmation(confirmation: Confirmation) -> None:
    """Write ``confirmation.json`` in the study's folder."""
    first = confirmation.others[0] if confirmation.others else None
    write_json(
        confirmation.folder / "confirmation.json",
        {
            "split": confirmation.split,
            "length": confirmation.length,
            "recommended": confirmation.recommended,
            "trial": None if first is None else first.number,
            "p_value": None if first is None else confirmation.p_value(first),
            "beyond_noise": confirmation.is_beyond_noise,
            "sentences": confirmation_sentences(confirmation),
            "candidates": [_candidate(confirmation, c) for c in confirmation.candidates],
        },
    )


def _candidate(confirmation: Confirmation, candidate: Candidate) -> dict[str, Any]:
    keys = {
        split: dict.fromkeys(k for t in candidate.complete for k in t.results.get(split, {}))
        for split in SPLITS
    }
    return {
        "trial": candidate.number,
        "score_in_search": None if candidate.found is None else candidate.found.score,
        "seeds": [trial.details.get("seed") for trial in candidate.repeats],
        "states": [trial.state for trial in candidate.repeats],
        "p_value": confirmation.p_value(candidate) if candidate.number else None,
        "caveat": seed_caveat(confirmation, candidate.number),
        **{
            split: {
                key: {"mean": s.mean, "deviation": s.deviation, "values": s.values}
                for key in keys[split]
                if (s := candidate.spread(split, key)) is not None
            }
            for split in SPLITS
        },
    }
