"""Everything that a report shows of one study, as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from sweep.quantities import QUANTITIES
from sweep.records import Dimension, Trial
from sweep.records.balance import Balance
from sweep.records.front import Front
from sweep.report.comparison.history import (
    choose_trials,
    conflict_table,
    early_gradients,
    evolution_table,
    gradient_table,
)
from sweep.report.comparison.importance import importances, search_space
from sweep.report.comparison.learning import learning_table
from sweep.report.comparison.measures import Row, all_roles, answer_rows
from sweep.report.comparison.pareto import pareto_fronts, strongest_trade_off
from sweep.report.comparison.sources import Source
from sweep.report.comparison.trial_table import parameter_keys, share_table, trial_table
from sweep.report.comparison.what_if import WhatIf, what_if, what_if_table
from sweep.report.confirmation import Confirmation, read_confirmation
from sweep.report.names import short_names

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The tables of one study; see the functions that make them for their columns.

    Attributes:
        source: The trials.
        trials: :func:`~sweep.report.comparison.trial_table.trial_table`.
        shares: :func:`~sweep.report.comparison.trial_table.share_table`.
        chosen: Labels of the trials whose training is shown.
        weights: The weights of the what-if, empty if there is none.
        what_if: Its results.
    """

    source: Source
    trials: pd.DataFrame
    shares: pd.DataFrame
    chosen: list[str]
    weights: Mapping[str, float]
    what_if: list[WhatIf]

    @property
    def best(self) -> Trial | None:
        """The answer: see :attr:`sweep.records.Study.best`."""
        return self.source.best

    @property
    def best_role(self) -> str:
        """What it is called: ``best`` or ``knee``."""
        return self.source.study.best_role

    @property
    def baseline_role(self) -> str:
        """What the baseline is called in :attr:`answer`."""
        return "default" if "default" in self.source.study.references else self.source.baseline_name

    @cached_property
    def asked(self) -> set[str]:
        """The quantities that the study is judged by; all of them if it does not tell."""
        objective = self.source.study.objective
        if objective is None:
            return set(QUANTITIES)
        return {*objective.metrics, *objective.minimize, *objective.constraints} - {"score"}

    @cached_property
    def answer(self) -> list[Row]:
        """Errors of the baseline and of the weights that matter, over all seeds there are."""
        return answer_rows(self.shown, self.source.baseline, self.confirmation)

    @cached_property
    def shown(self) -> dict[str, Trial]:
        """The trials of :attr:`answer` by what they are called."""
        baseline, references = self.source.baseline, self.source.study.references
        if baseline is None or "default" in references:
            return references
        return {self.source.baseline_name: baseline, **references}

    @property
    def complete(self) -> pd.DataFrame:
        """The rows of the complete trials, best first."""
        return self.trials[self.trials["state"] == "COMPLETE"]

    @property
    def terms(self) -> list[str]:
        """All terms, in the order of their first appearance."""
        return list(dict.fromkeys(self.shares["term"]))

    @property
    def ranked(self) -> pd.DataFrame:
        """Those of them that keep the study's constraints and are no copies of another."""
        return self.trials[self.trials["rank"].notna()]

    @cached_property
    def front(self) -> Front | None:
        """The front of a study of several objectives."""
        return self.source.study.front

    @property
    def trade_off(self) -> tuple[str, str] | None:
        """The two metrics whose front is shown first: the objectives, if there are several."""
        if self.front is None:
            return strongest_trade_off(self.trials)
        return self.front.minimize[0], self.front.minimize[1]

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What trainings with other seeds say, None if there are none."""
        return read_confirmation(self.source.study) if self.source.is_study else None

    @cached_property
    def trial_of(self) -> dict[str, Trial]:
        """Trials by label."""
        return {self.source.label(trial): trial for trial in self.source.study}

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of the trial table by label: many times faster than pandas for single cells."""
        names = [str(name) for name in self.trials.columns]
        return {
            str(row[0]): dict(zip(names, row[1:], strict=True))
            for row in self.trials.itertuples(index=True, name=None)
        }

    def value(self, label: object, column: str) -> float:
        """A number of the trial table, NaN if it is not there."""
        value = self.rows[str(label)].get(column)
        return float(value) if isinstance(value, int | float) else math.nan

    def balance(self, label: str) -> Balance | None:
        """The balance of a trial in its last epoch."""
        return self.trial_of[label].balance

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The searched keys and their short names."""
        return short_names(parameter_keys(self.trials))

    @cached_property
    def space(self) -> dict[str, Dimension]:
        """The values among which every key is searched, where the study tells them."""
        return search_space(self.source.study, list(self.parameters))

    @cached_property
    def importances(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.importance.importances`; none for single trials."""
        table = self.trials if self.source.is_study else self.trials.iloc[:0]
        return importances(table, self.space)

    @cached_property
    def fronts(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.pareto.pareto_fronts`."""
        return pareto_fronts(self.trials)

    @cached_property
    def evolution(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.history.evolution_table`."""
        return evolution_table(self.source, self.chosen)

    @cached_property
    def learning(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.learning.learning_table`."""
        shown = {name: self.shown[role] for role, name in all_roles(self.shown).items()}
        return learning_table(shown)

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.history.gradient_table`."""
        return gradient_table(self.source, self.chosen)

    @cached_property
    def early_gradients(self) -> list[str]:
        """:func:`~sweep.report.comparison.history.early_gradients`."""
        return early_gradients(self.source, self.chosen)

    @cached_property
    def conflicts(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.history.conflict_table`."""
        return conflict_table(self.source, self.chosen)

    @property
    def what_if_shares(self) -> pd.DataFrame:
        """:func:`~sweep.report.comparison.what_if.what_if_table`."""
        return what_if_table(self.what_if)


def compare(
    source: Source,
    *,
    wanted: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
) -> Comparison:
    """Prepare the tables of a study.

    Args:
        source: The study, or single trials.
        wanted: Labels of the trials whose training shall be shown.
        weights: Weights of a what-if.

    Raises:
        InputError: if a wanted trial or a term of the what-if is not there.
    """
    trials = trial_table(source)
    labels = [str(label) for label in trials.index]
    chosen = choose_trials(source, trials, wanted)
    results = what_if(source, chosen, weights) if weights else []
    return Comparison(
        source, trials, share_table(source, labels), chosen, dict(weights or {}), results
    )
