"""The records of a trial that another program trains: the same as those of our own training."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sweep.config.stages import Stage
from sweep.errors import DamagedRecordError
from sweep.files import read_json, write_json
from sweep.locks import LEASES
from sweep.records.state import State
from sweep.records.trial_file import FILE
from sweep.records.writer import PROGRESS, Result, TrialWriter
from sweep.tracking.follower import FOLDER as TRACKING
from sweep.training.external.epochs import Epoch, Tests
from sweep.training.external.events import Balance, Step
from sweep.training.external.judge import Judge
from sweep.training.external.told_steps import table_of
from sweep.training.trainer import EpochReport

__all__ = ["PROGRAM", "Recorder"]

PROGRAM = "program"
"""Folder in that of the trial in which the program runs."""

_EARLIER = "earlier"
# What stays where it is when a program begins again; the leases are of whoever trains now.
_STAYS = (FILE, ".hydra", _EARLIER, "damaged", LEASES, TRACKING)


@dataclass(frozen=True)
class _Entry:
    """A recorded epoch, as ``progress.json`` holds it."""

    epoch: int
    score: float
    best_score: float
    best_epoch: int
    shares: dict[str, float]
    metrics: dict[str, float]
    n_steps: int
    log_size: int


class Recorder:
    """Writes the epochs of a trial and knows which are there already.

    Args:
        writer: Writes into the trial's folder.
        stages: The stages.
        judge: Makes our metrics and the score of what the program measured.
        fit_name: Names the debug log.
        clip_grad: Largest gradient norm, where it is known.

    Raises:
        DamagedRecordError: if what is there cannot be read.
    """

    def __init__(
        self,
        writer: TrialWriter,
        stages: Sequence[Stage],
        judge: Judge,
        *,
        fit_name: str,
        clip_grad: float | None = None,
    ) -> None:
        self._writer = writer
        self._stages = stages
        self.judge = judge
        self._fit_name = fit_name
        self._clip = clip_grad
        self._entries: list[_Entry] = []
        self._since = time.perf_counter()
        self._told: set[str] = set()
        self.has_ended = False
        self.tests: dict[str, float] | None = None
        self.test_sets: dict[str, dict[str, float]] = {}
        self.interrupted = 0
        self._read()

    @property
    def folder(self) -> Path:
        """Where the program runs."""
        return self._writer.folder / PROGRAM

    @property
    def n_epochs(self) -> int:
        """Number of epochs that are recorded."""
        return self._entries[-1].epoch + 1 if self._entries else 0

    @property
    def last(self) -> EpochReport | None:
        """The last recorded epoch."""
        return self._report(self._entries[-1], math.nan) if self._entries else None

    def start_afresh(self) -> None:
        """Move what is there into ``earlier/``: the program begins again, nothing is lost."""
        self._writer.may_write()
        old = [path for path in self._writer.folder.iterdir() if path.name not in _STAYS]
        if old:
            aside = self._writer.folder / _EARLIER / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
            aside.mkdir(parents=True)
            for path in old:
                path.rename(aside / path.name)
        self._entries = []
        self._open()

    def commit(self, epoch: Epoch) -> EpochReport:
        """Put an epoch on disk; one that is there already, and those after it, are replaced.

        Raises:
            TrainingError: if a value that is needed is missing or not finite.
        """
        if epoch.number < self.n_epochs:
            self._entries = [entry for entry in self._entries if entry.epoch < epoch.number]
            self._open()
        metrics, clipped = self.judge.metrics(epoch.number, epoch.metrics), None
        n_steps = self._entries[-1].n_steps if self._entries else 0
        shares: dict[str, float] = {}
        for number in sorted({of for of, _ in epoch.steps}):
            steps = [step for of, step in epoch.steps if of == number]
            shares, clipped = self._add_steps(number, steps, n_steps)
            n_steps += len(steps)
        for balance in epoch.balances:
            self._add_balance(balance, n_steps)
        if clipped is not None:
            metrics["clipped"] = clipped
        stage = self._stage_of(epoch.number)
        self._tables.add_metrics(
            step=n_steps, epoch=epoch.number, stage=stage.index, split="valid", metrics=metrics
        )
        entry = _Entry(
            epoch.number, metrics["score"], *self._best(epoch.number, metrics["score"]),
            shares, metrics, n_steps, self._writer.commit(),
        )  # fmt: skip
        self._entries.append(entry)
        self._write()
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return self._report(entry, seconds)

    def note_interruption(self) -> int:
        """Note that the program was ended by someone else; returns how often in a row."""
        self.interrupted += 1
        self._write()
        return self.interrupted

    def note_end(self, tests: Tests) -> None:
        """The program has ended well.

        Args:
            tests: What it measured on its test sets. Of several, which share no number of
                configurations, there is no error of all of them.
        """
        best = self._entries[-1].best_epoch
        found = tests.get(best, tests.get(None, {}))
        sets = {name: self.judge.test_metrics(told) for name, told in found.items()}
        self.tests = next(iter(sets.values())) if len(sets) == 1 else None
        self.test_sets = {str(name): told for name, told in sets.items()} if len(sets) > 1 else {}
        self.has_ended = True
        self._write()

    def result(self, state: State) -> Result:
        """How the training ended; of a complete one the test set is in it, and on disk."""
        if not self._entries:
            return Result(state, math.nan, -1)
        last = self._entries[-1]
        best = next(e for e in self._entries if e.epoch == last.best_epoch)
        result = Result(state, last.best_score, best.epoch, {"valid": best.metrics})
        if state is State.COMPLETE and self.tests is not None:
            self._tables.add_metrics(
                step=last.n_steps, epoch=best.epoch, stage=self._stage_of(best.epoch).index,
                split="test", metrics=self.tests,
            )  # fmt: skip
            self._writer.commit()
            result.metrics["test"] = self.tests
        if state is State.COMPLETE and self.test_sets:
            result.details["config_types"] = {"test": self.test_sets}
        result.details["not_told"] = self._not_told(best.metrics)
        return result

    def _not_told(self, metrics: Mapping[str, float]) -> list[str]:
        """What our own training records and this program did not tell."""
        steps = {
            "lr": "learning rates", "grad_norm": "gradient norms", "terms": "values of the terms"
        }  # fmt: skip
        absent = [text for key, text in steps.items() if key not in self._told]
        absent += [] if "loss" in metrics else ["validation loss"]
        absent += [] if "balance" in self._told else ["gradients of the terms"]
        if self.test_sets:
            return [*absent, f"errors on all test sets together ({', '.join(self.test_sets)})"]
        return absent if self.tests else [*absent, "errors on a test set"]

    def _best(self, epoch: int, score: float) -> tuple[float, int]:
        last = self._entries[-1] if self._entries else None
        if self.judge.takes_last or last is None or score < last.best_score:
            return score, epoch
        return last.best_score, last.best_epoch

    def _stage_of(self, epoch: int) -> Stage:
        found = (s for s in self._stages if s.start <= epoch <= s.end)
        return next(found, self._stages[-1])

    def _add_steps(
        self, epoch: int, steps: list[Step], first_step: int
    ) -> tuple[dict[str, float], float | None]:
        """Add the steps of an epoch; returns the shares, and how many of them were clipped."""
        stage = self._stage_of(epoch)
        table = replace(table_of(epoch, steps, stage.weights), limit=self._clip)
        self._told |= {key for key in ("lr", "grad_norm") if getattr(table, key) is not None}
        self._told |= {"terms"} if table.names else set()
        table.add_to(self._tables, first_step=first_step, epoch=epoch, stage=stage.index)
        return table.shares(), table.clipped()

    def _add_balance(self, balance: Balance, step: int) -> None:
        self._told.add("balance")
        self._tables.add_gradients(
            balance.terms, step=step, epoch=balance.epoch,
            stage=self._stage_of(balance.epoch).index, raw=np.array(balance.raw),
            weighted=np.array(balance.weighted), cosine=np.array(balance.cosine),
        )  # fmt: skip

    def _report(self, entry: _Entry, seconds: float) -> EpochReport:
        return EpochReport(
            epoch=entry.epoch, stage=self._stage_of(entry.epoch), score=entry.score,
            best_score=entry.best_score, shares=entry.shares, metrics=entry.metrics,
            seconds=seconds,
        )  # fmt: skip

    def _read(self) -> None:
        path = self._writer.folder / PROGRESS
        try:
            saved = read_json(path)
            self._entries = [_Entry(**entry) for entry in saved.get("epochs", [])]
            self._told = set(saved.get("told", []))
            self.has_ended = saved.get("ended", False)
            self.interrupted = saved.get("interrupted", 0)
            self.tests = saved.get("tests")
            self.test_sets = saved.get("test_sets", {})
        except (ValueError, TypeError, AttributeError) as error:
            raise DamagedRecordError(f"{path}: damaged ({error})") from error
        if self._entries:
            self._open()

    def _open(self) -> None:
        last = self._entries[-1] if self._entries else None
        self._tables = self._writer.open_tables(
            self._fit_name,
            last_epoch=-1 if last is None else last.epoch,
            log_size=0 if last is None else last.log_size,
            n_steps=0 if last is None else last.n_steps,
            n_evaluations=len(self._entries),
        )

    def _write(self) -> None:
        content: dict[str, Any] = {
            "epochs": [asdict(entry) for entry in self._entries],
            "told": sorted(self._told),
            "ended": self.has_ended,
            "interrupted": self.interrupted,
            "tests": self.tests,
            "test_sets": self.test_sets,
        }
        write_json(self._writer.folder / PROGRESS, content, check=self._writer.may_write)
