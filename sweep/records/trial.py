"""A trial as its folder tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import DamagedRecordError
from sweep.quantities import QUANTITIES
from sweep.records.balance import Balance, stage_balances
from sweep.records.notes import Note, read_note
from sweep.records.objective import Objective
from sweep.records.state import State
from sweep.records.tables import BALANCE, BREAKDOWN, METRICS, read_table
from sweep.records.trial_file import FILE, read_trial_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StageRecord", "Trial"]

Loss = Mapping[str, Mapping[str, Any]]
"""For every term its ``weight`` and options, as :class:`losses.WeightedLoss` takes it."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of a training; what a file made by other hands may lack is None.

    Attributes:
        loss: For every term its weight and options.
        name: Its name.
        start: First epoch.
        end: Last epoch, included.
        lr: Learning rate at its beginning.
        shares: Shares of its own, where the weights follow the training.
    """

    loss: Loss
    name: str | None = None
    start: int | None = None
    end: int | None = None
    lr: float | None = None
    shares: Mapping[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """As ``trial.json`` holds it."""
        return {key: getattr(self, key) for key in ("name", "start", "end", "lr", "loss")}


@dataclass(frozen=True)
class Trial:
    """One training and its records, read from its folder.

    Errors are in eV, Å, e and V, as in :data:`sweep.quantities.QUANTITIES`.

    Attributes:
        folder: Its folder.
        number: Its number in the study.
        state: How far it has come.
        score: What the study judges it by; None if it has none yet.
        epoch: The epoch that the score is from.
        epochs_trained: Number of epochs that were trained.
        role: ``default``, ``balanced`` or ``static`` for the trials that every study has; the name
            of the recipe for published weights.
        reason: Why it failed.
        same_as: Number of the trial with the same weights whose result it took over.
        params: The searched keys and their values.
        results: ``valid`` and ``test`` -> ``score``, ``rmse_<quantity>``, ``mae_<quantity>`` at
            :attr:`epoch`; None where a value was not finite.
        objective: What it is judged by; None if its file does not tell.
        stages: The stages of its training.
        details: Whatever else ``trial.json`` holds: seed, device, versions, times, ….
        is_judged_anew: Whether its score is not the one of its files: see
            :meth:`sweep.records.Study.judged`.
    """

    folder: Path
    number: int
    state: State
    score: float | None = None
    epoch: int | None = None
    epochs_trained: int | None = None
    role: str | None = None
    reason: str | None = None
    same_as: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    objective: Objective | None = None
    stages: tuple[StageRecord, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    is_judged_anew: bool = False

    @classmethod
    def read(cls, folder: Path) -> Trial:
        """Read a trial from its folder.

        Raises:
            DamagedRecordError: if ``trial.json`` is missing or not as it should be.
        """
        content = read_trial_file(folder / FILE)
        return cls(
            folder=folder,
            state=State(content.pop("state")),
            results=content.pop("metrics"),
            objective=Objective.read(content.pop("objective", None)),
            stages=tuple(
                StageRecord(**{key: stage.get(key) for key in StageRecord.__dataclass_fields__})
                for stage in content.pop("stages")
            ),
            **{key: content.pop(key, None) for key in ("number", "score", "epoch", "epochs_trained",
                                                       "role", "reason", "same_as", "params")},
            details=content,
        )  # fmt: skip

    def __repr__(self) -> str:
        score = "no score" if self.score is None else f"score {self.score:.6g}"
        words = [str(self.number), self.role, self.state.lower(), score, str(self.folder)]
        return f"<Trial {', '.join(word for word in words if word)}>"

    # What it gave

    @property
    def is_complete(self) -> bool:
        """Whether it was trained to the last epoch."""
        return self.state is State.COMPLETE

    @property
    def statistic(self) -> str:
        """``rmse`` or ``mae``: what its errors are."""
        return "rmse" if self.objective is None else self.objective.statistic

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities that it may have errors of.

        Ours, and those of its objective that only the program which trained it knows.
        """
        by = self.objective
        judged = () if by is None else (*by.metrics, *by.minimize)
        return tuple(dict.fromkeys((*QUANTITIES, *(name for name in judged if name != "score"))))

    def errors(self, split: str = "valid") -> dict[str, float]:
        """Error of every measured quantity in its unit, by the objective's statistic.

        Args:
            split: ``valid`` or ``test``.
        """
        results = self.results.get(split, {})
        found = {name: results.get(f"{self.statistic}_{name}") for name in self.quantities}
        return {name: value for name, value in found.items() if value is not None}

    def errors_by(
        self, kind: str = "config_type", split: str = "test", *, statistic: str | None = None
    ) -> dict[str, tuple[int, dict[str, float]]]:
        """For every kind its number of configurations or atoms, and errors as :meth:`errors`.

        Empty where there is one kind only, and for trials that did not measure it.

        Args:
            kind: ``config_type``, ``element`` or ``size``.
            split: ``valid`` or ``test``.
            statistic: ``share`` for the parts of the sum of squared errors that each element or
                size holds; None: as the objective has it.
        """
        recorded = (self.details.get(f"{kind}s") or {}).get(split, {})
        found = {}
        for name, results in recorded.items():
            errors = {
                key: results.get(f"{statistic or self.statistic}_{key}") for key in QUANTITIES
            }
            known = {key: value for key, value in errors.items() if value is not None}
            found[name] = (int(results.get("n") or 0), known)
        return found

    def score_on(self, split: str) -> float | None:
        """The score on ``valid`` or ``test``; None if it was not measured."""
        if split == "valid" and self.score is not None:
            return self.score
        return self.results.get(split, {}).get("score")

    @property
    def scales(self) -> dict[str, float]:
        """Standard deviation of every quantity's reference in the training set, where recorded."""
        recorded = self.details.get("scales")
        found = recorded if isinstance(recorded, Mapping) else {}
        return {
            name: float(value)
            for name in self.quantities
            if isinstance(value := found.get(name), int | float) and 0 < value < math.inf
        }

    # What it was trained with

    @property
    def multipoles_max_l(self) -> int | None:
        """Largest l of its model's multipoles, 0 for charges only; None where not recorded."""
        found = self.details.get("multipoles_max_l")
        return found if isinstance(found, int) else None

    @property
    def loss(self) -> dict[str, dict[str, Any]]:
        """Terms, weights and options of the last stage, for :class:`losses.WeightedLoss`."""
        return {name: dict(term) for name, term in self.stages[-1].loss.items()}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every term in the last stage."""
        return {name: float(term["weight"]) for name, term in self.loss.items()}

    @property
    def weighting(self) -> str:
        """How its weights came about: ``fixed``, or what made them follow the training.

        Then the weights of its stages are the geometric means of those that acted.
        """
        found = self.details.get("weighting")
        name = found.get("name") if isinstance(found, Mapping) else None
        return name if isinstance(name, str) else "fixed"

    @property
    def planned_epochs(self) -> int | None:
        """Number of epochs of the whole training; None if its file does not tell."""
        end = self.stages[-1].end if self.stages else None
        return end + 1 if type(end) is int else None

    @property
    def prefix_epochs(self) -> int:
        """How many of its first epochs were trained in another trial, from whose end it started."""
        prefix = self.details.get("prefix") or {}
        epochs = prefix.get("epochs", 0)
        return epochs if type(epochs) is int else 0

    def stage_name(self, index: int) -> str:
        """The name of a stage, its number if the file does not tell."""
        name = self.stages[index].name if 0 <= index < len(self.stages) else None
        return str(name) if name else f"stage {index}"

    # Its tables

    def steps(self) -> pd.DataFrame:
        """What every optimiser step contributed: the table ``breakdown.parquet``.

        Returns:
            One row per step: ``step``, ``epoch``, ``stage``, ``lr``, ``total`` (the loss),
            ``grad_norm`` (before clipping) and for every term ``raw.<term>`` (in the unit of the
            term, squared) and ``weight.<term>``. Without rows if no epoch is finished.

        Raises:
            DamagedRecordError: if the table cannot be read.
        """
        return read_table(self.folder / BREAKDOWN)

    def metrics(self) -> pd.DataFrame:
        """Every evaluation: the table ``metrics.parquet``.

        Returns:
            One row per evaluation: ``step``, ``epoch``, ``stage``, ``split``, ``loss``, ``score``
            ``clipped`` (share of the epoch's steps whose gradient was clipped; of ``valid``) and
            ``rmse_<quantity>``, ``mae_<quantity>`` in eV, Å, e and V.

        Raises:
            DamagedRecordError: if the table cannot be read.
        """
        return read_table(self.folder / METRICS)

    def gradients(self) -> pd.DataFrame:
        """Every measurement of the terms' gradients: the table ``balance.parquet``.

        Returns:
            One row per measurement and term: ``step``, ``epoch``, ``stage``, ``term``,
            ``raw_norm``, ``weighted_norm`` and ``cosine.<term>`` to every other term.

        Raises:
            DamagedRecordError: if the table cannot be read.
        """
        return read_table(self.folder / BALANCE)

    @cached_property
    def note(self) -> Note:
        """What the user says of it, from ``note.json``; of a damaged file that it is damaged."""
        try:
            return read_note(self.folder)
        except DamagedRecordError as error:
            return Note(str(error))

    @cached_property
    def _balances(self) -> tuple[dict[int, Balance | None], str | None]:
        try:
            return stage_balances(self.folder / BREAKDOWN), None
        except DamagedRecordError as error:
            return {}, str(error)

    @property
    def balances(self) -> dict[int, Balance | None]:
        """Term balance in the last epoch of each stage, None where there is no finite total."""
        return self._balances[0]

    @property
    def balance(self) -> Balance | None:
        """Term balance in the last epoch, None if none can be read."""
        return self.balances[max(self.balances)] if self.balances else None

    @property
    def damage(self) -> str | None:
        """Why the breakdown could not be read, None if it could or is not there."""
        return self._balances[1]
