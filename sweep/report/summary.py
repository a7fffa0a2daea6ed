"""From the trial folders of a study to its summary: which weights are best, and by how much."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.quantities import QUANTITIES
from sweep.recording.files import read_json, write_json, write_text
from sweep.report.balance import Balance, last_epoch_balance

__all__ = ["StudySummary", "TrialSummary", "read_trial", "summarise", "write_summary"]


@dataclass(frozen=True)
class TrialSummary:
    """One trial as its folder tells it.

    Attributes:
        folder: Its folder.
        content: Its ``trial.json``.
        balance: Its term balance in the last epoch.
    """

    folder: Path
    content: dict[str, Any]
    balance: Balance | None

    @property
    def number(self) -> int:
        """Number in the study."""
        return int(self.content["number"])

    @property
    def state(self) -> str:
        """RUNNING, COMPLETE, PRUNED, STOPPED or FAILED."""
        return str(self.content["state"])

    @property
    def score(self) -> float:
        """What the study minimises."""
        return float(self.content["score"])

    def errors(self, split: str) -> dict[str, float]:
        """Error of every measured quantity in its unit, by the objective's statistic."""
        statistic = self.content["objective"]["statistic"]
        metrics = self.content.get("metrics", {}).get(split, {})
        return {
            name: metrics[f"{statistic}_{name}"]
            for name in QUANTITIES
            if metrics.get(f"{statistic}_{name}") is not None
        }

    def score_on(self, split: str) -> float | None:
        """The score on ``valid`` or ``test``."""
        value: float | None = self.content.get("metrics", {}).get(split, {}).get("score")
        return value

    def loss_block(self) -> str:
        """The weights as YAML to paste: ``loss`` if all stages share it, else the schedule.

        The form is MACE_SCF's: floats, a mapping only for terms with options.
        """
        stages = self.content["stages"]
        losses = [_mace_scf_loss(stage["loss"]) for stage in stages]
        block: dict[str, Any] = {"loss": losses[0]}
        if any(loss != losses[0] for loss in losses):
            block = {
                "train_schedule": {
                    i: {**{key: stage[key] for key in ("name", "start", "end", "lr")}, "loss": loss}
                    for i, (stage, loss) in enumerate(zip(stages, losses, strict=True))
                }
            }
        return yaml.safe_dump(block, sort_keys=False)


@dataclass(frozen=True)
class StudySummary:
    """A study and the trials that answer its question.

    Attributes:
        name: Name of the study.
        folder: Its folder.
        trials: All readable trials, by number.
        references: ``default``, ``balanced`` and ``best``, where there is such a trial.
        unreadable: Folders whose ``trial.json`` could not be read.
    """

    name: str
    folder: Path
    trials: list[TrialSummary]
    references: dict[str, TrialSummary] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)

    @property
    def states(self) -> dict[str, int]:
        """Number of trials in each state."""
        return dict(Counter(trial.state for trial in self.trials))


def read_trial(folder: Path) -> TrialSummary | None:
    """Read a trial's folder; None if it holds no readable ``trial.json``."""
    try:
        content = read_json(folder / "trial.json")
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or "state" not in content or "number" not in content:
        return None
    return TrialSummary(folder, content, last_epoch_balance(folder))


def summarise(folder: Path, name: str) -> StudySummary:
    """Read all trials of a study and find the references."""
    trials, unreadable = [], []
    for path in sorted((folder / "trials").glob("*")):
        trial = read_trial(path)
        if trial is None:
            unreadable.append(path)
        else:
            trials.append(trial)
    references: dict[str, TrialSummary] = {}
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    for role in ("default", "balanced"):
        for trial in complete:
            if trial.content.get("role") == role:
                references[role] = trial
    if complete:
        references["best"] = min(complete, key=lambda trial: trial.score)
    return StudySummary(name, folder, trials, references, unreadable)


def write_summary(study: StudySummary) -> None:
    """Write ``summary.json`` and, once a trial is complete, ``best_loss.yaml``."""
    write_json(
        study.folder / "summary.json",
        {
            "study": study.name,
            "states": study.states,
            "references": {role: _entry(trial) for role, trial in study.references.items()},
            "trials": [
                {
                    key: trial.content.get(key)
                    for key in ("number", "role", "state", "score", "epoch", "seconds", "params",
                                "reason")
                }
                for trial in study.trials
            ],
        },
    )  # fmt: skip
    best = study.references.get("best")
    if best is not None:
        head = (
            f"# Best weights of study {study.name}: trial {best.number}, score {best.score:.6g}, "
            f"seed {best.content['seed']}\n"
        )
        write_text(study.folder / "best_loss.yaml", head + best.loss_block())


def _entry(trial: TrialSummary) -> dict[str, Any]:
    balance = trial.balance
    return {
        "trial": trial.number,
        "score": trial.score,
        "epoch": trial.content["epoch"],
        "metrics": trial.content["metrics"],
        "loss": yaml.safe_load(trial.loss_block()),
        "balance": None
        if balance is None
        else {
            "shares": balance.shares,
            "effective_terms": balance.effective_terms,
            "dominant": balance.dominant,
            "starved": balance.starved,
        },
    }


def _mace_scf_loss(loss: dict[str, dict[str, Any]]) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for name, term in loss.items():
        options = {key: value for key, value in term.items() if key != "weight"}
        weight = float(f"{term['weight']:.6g}")
        block[name] = {"weight": weight, **options} if options else weight
    return block
