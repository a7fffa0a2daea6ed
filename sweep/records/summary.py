"""From the trial folders of a study to its summary: which weights are best, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import DamagedRecordError
from sweep.files import write_json, write_text
from sweep.quantities import QUANTITIES
from sweep.records.balance import Balance, stage_balances
from sweep.records.feasibility import best_of, feasible
from sweep.records.front import front_of
from sweep.records.trial_json import read_trial_json

__all__ = ["StudySummary", "TrialSummary", "load_trial", "read_trial", "summarise", "write_summary"]

_N_READERS = 4


@dataclass(frozen=True)
class TrialSummary:
    """One trial as its folder tells it.

    Attributes:
        folder: Its folder.
        content: Its ``trial.json``.
        balances: Its term balance in the last epoch of each stage, by stage; None where there is no
            finite total.
        damage: Why its breakdown could not be read, None if it could or is not there.
    """

    folder: Path
    content: dict[str, Any]
    balances: Mapping[int, Balance | None] = field(default_factory=dict)
    damage: str | None = None

    @property
    def balance(self) -> Balance | None:
        """Its term balance in the last epoch, None if none could be read."""
        return self.balances[max(self.balances)] if self.balances else None

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
        unreadable: Folders whose ``trial.json`` could not be read, and why.
    """

    name: str
    folder: Path
    trials: list[TrialSummary]
    references: dict[str, TrialSummary] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)

    @property
    def states(self) -> dict[str, int]:
        """Number of trials in each state."""
        return dict(Counter(trial.state for trial in self.trials))


def load_trial(folder: Path) -> TrialSummary:
    """Read a trial's folder.

    Raises:
        DamagedRecordError: if it holds no readable ``trial.json``.
    """
    content = read_trial_json(folder / "trial.json")
    try:
        return TrialSummary(folder, content, stage_balances(folder))
    except DamagedRecordError as error:
        return TrialSummary(folder, content, damage=str(error))


def read_trial(folder: Path) -> TrialSummary | None:
    """Read a trial's folder; None if it holds no readable ``trial.json``."""
    try:
        return load_trial(folder)
    except DamagedRecordError:
        return None


def summarise(folder: Path, name: str) -> StudySummary:
    """Read all trials of a study and find the references."""
    trials: list[TrialSummary] = []
    unreadable: dict[Path, str] = {}
    paths = sorted((folder / "trials").glob("*"))
    with ThreadPoolExecutor(_N_READERS) as readers:  # most of the time goes into waiting for files
        for path, found in zip(paths, readers.map(_load_or_damage, paths), strict=True):
            if isinstance(found, TrialSummary):
                trials.append(found)
            else:
                unreadable[path] = str(found)
    return StudySummary(name, folder, trials, references(trials), unreadable)


def _load_or_damage(path: Path) -> TrialSummary | DamagedRecordError:
    try:
        return load_trial(path)
    except DamagedRecordError as error:
        return error


def references(trials: list[TrialSummary]) -> dict[str, TrialSummary]:
    """``default``, ``balanced`` and ``best`` among the complete trials, where there are such.

    The best is the one with the smallest score among those that keep the study's constraints.
    """
    found: dict[str, TrialSummary] = {}
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    for role in ("default", "balanced"):
        for trial in complete:
            if trial.content.get("role") == role:
                found[role] = trial
    best = best_of([trial.content for trial in complete])
    if best is not None:
        found["best"] = next(trial for trial in complete if trial.content is best)
    return found


def write_summary(study: StudySummary) -> None:
    """Write ``summary.json`` and, once there is a best trial, ``best_loss.yaml``."""
    kept = {content["number"] for content in feasible([t.content for t in study.trials])}
    write_json(
        study.folder / "summary.json",
        {
            "study": study.name,
            "states": study.states,
            "references": {role: _entry(trial) for role, trial in study.references.items()},
            **_front_entry(study),
            "trials": [
                {
                    key: trial.content.get(key)
                    for key in ("number", "role", "state", "score", "epoch", "seconds", "params",
                                "reason", "same_as")
                }
                | {"feasible": trial.number in kept if trial.state == "COMPLETE" else None}
                for trial in study.trials
            ],
        },
    )  # fmt: skip
    best, path = study.references.get("best"), study.folder / "best_loss.yaml"
    if best is None:
        path.unlink(missing_ok=True)  # of when trial 0, whose errors constrain, was not complete
    else:
        head = (
            f"# Best weights of study {study.name}: trial {best.number}, score {best.score:.6g}, "
            f"seed {best.content['seed']}\n"
        )
        write_text(path, head + best.loss_block())


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


def _front_entry(study: StudySummary) -> dict[str, Any]:
    """The Pareto front of a study of several objectives."""
    front = front_of([trial.content for trial in study.trials])
    if front is None:
        return {}
    trials = [{"trial": c["number"], "values": values} for c, values in front.trials]
    return {"front": {"minimize": front.minimize, "trials": trials, "knee": front.knee}}


def _mace_scf_loss(loss: dict[str, dict[str, Any]]) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for name, term in loss.items():
        options = {key: value for key, value in term.items() if key != "weight"}
        weight = float(f"{term['weight']:.6g}")
        block[name] = {"weight": weight, **options} if options else weight
    return block
